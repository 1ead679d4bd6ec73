"""Records of the simulated market's rows, as the feed and REST tell them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.exchange import book, noise
from marketdata.exchange.auctions import Standing
from marketdata.exchange.book import Books
from marketdata.exchange.derivatives import Board, Values
from marketdata.exchange.listing import BAND, VIX_KEY
from marketdata.exchange.paths import u_shape
from marketdata.exchange.prices import Market, State
from marketdata.exchange.records import Bar, Record

Rows = npt.NDArray[np.int64]


class Tape:
    """Turns states of the market into records. Knows no time but the beat it is given."""

    def __init__(self, *, market: Market, seed: int, beat_ms: int) -> None:
        self.market = market
        self._seed = seed
        self._beat_ms = beat_ms

    def spots(
        self, rows: Rows, state: State, standing: Standing | None, *, slot: int, depth: int
    ) -> list[Record]:
        """Shares and indices. Where an auction stands there is no book and no minute."""
        if not len(rows):
            return []
        market, at_ms = self.market, slot * self._beat_ms
        levels = book.books(
            names=market.names[rows],
            tick=market.tick[rows],
            lot=market.lot[rows],
            volume=market.volume[rows],
            last=state.last[rows],
            previous_close=state.previous_close[rows],
            band=BAND,
            seed=self._seed,
            slot=slot,
            depth=depth,
        )
        hours = market.hours
        midnight, traded_ms = hours.midnight_ms(state.day), min(at_ms, hours.close_ms(state.day))
        regular = state.minute >= 0 and hours.is_regular(state.day)
        minute_ms = hours.start_ms(state.day) + state.minute * 60_000
        bid_p, bid_q = levels.bid_prices.tolist(), levels.bid_quantities.tolist()
        ask_p, ask_q = levels.ask_prices.tolist(), levels.ask_quantities.tolist()
        out = []
        for place, row in enumerate(rows.tolist()):
            listing = market.listings[row]
            index = listing.is_index
            stands = standing is not None and bool(standing.mask[row])
            booked = not index and not stands
            out.append(
                Record(
                    key=listing.key,
                    last_price=float(state.last[row]),
                    last_trade_ms=standing.traded_ms if standing and stands else traded_ms,
                    last_quantity=0 if index else int(levels.last_quantity[place]),
                    previous_close=float(state.previous_close[row]),
                    average_price=0.0 if index else float(state.average[row]),
                    volume=int(state.volume[row]),
                    total_bid_quantity=float(levels.total_bid[place]) if booked else 0.0,
                    total_ask_quantity=float(levels.total_ask[place]) if booked else 0.0,
                    bids=None if index else _pairs(bid_p[place], bid_q[place]) if booked else (),
                    asks=None if index else _pairs(ask_p[place], ask_q[place]) if booked else (),
                    day=_day(state, row, midnight) if state.volume[row] or index else None,
                    minute=_minute(state, row, minute_ms) if regular and not stands else None,
                    is_index=index,
                    cas_eligible=listing.cas_eligible and not index,
                    **_auction(standing, row, levels, place),
                )
            )
        return out

    def contracts(
        self, board: Board, rows: Rows, state: State, *, second: float, slot: int, depth: int
    ) -> list[Record]:
        """Futures and options at `second` of the day's path."""
        if not len(rows):
            return []
        hours, at_ms = self.market.hours, slot * self._beat_ms
        start_ms = hours.start_ms(state.day)
        spots = board.spot_row[rows]
        vix = self._vix(state.last)
        now = board.values(rows, spot=state.last[spots], vix=vix, at_ms=float(at_ms))
        # A day's range from the underlying's: time value at the open bounds it from above.
        cases = [
            (state.open, start_ms),
            (state.high, start_ms),
            (state.low, start_ms),
            (state.high, at_ms),
            (state.low, at_ms),
        ]
        corners = board.values(
            np.tile(rows, len(cases)),
            spot=np.concatenate([column[spots] for column, _ in cases]),
            vix=vix,
            at_ms=np.repeat(np.array([at for _, at in cases], dtype=np.float64), len(rows)),
        ).price.reshape(len(cases), -1)
        high = np.maximum(corners.max(axis=0), now.price)
        low = np.minimum(corners.min(axis=0), now.price)
        minute = min(int(second) // 60, hours.minutes - 1)
        part = float(u_shape(hours.minutes)[:minute].sum())
        volume, interest, _ = board.interest(rows, part=part)
        levels = book.books(
            names=board.names[rows],
            tick=board.tick[rows],
            lot=board.lot[rows],
            volume=board.usual_volume[rows],
            last=now.price,
            previous_close=board.previous_closes[rows],
            band=None,
            seed=self._seed,
            slot=slot,
            depth=depth,
        )
        midnight = hours.midnight_ms(state.day)
        out = []
        for place, row in enumerate(rows.tolist()):
            price = round(float(now.price[place]), 2)
            day = Bar(
                round(float(corners[0][place]), 2),
                round(float(high[place]), 2),
                round(float(low[place]), 2),
                price,
                int(volume[place]),
                midnight,
            )
            out.append(
                Record(
                    key=board.contracts[row].listing.key,
                    last_price=price,
                    last_trade_ms=min(at_ms, hours.close_ms(state.day)),
                    last_quantity=int(levels.last_quantity[place]),
                    previous_close=round(float(board.previous_closes[row]), 2),
                    average_price=round((day.open + price) / 2, 2),
                    volume=int(volume[place]),
                    open_interest=float(interest[place]),
                    total_bid_quantity=float(levels.total_bid[place]),
                    total_ask_quantity=float(levels.total_ask[place]),
                    bids=_pairs(
                        levels.bid_prices[place].tolist(), levels.bid_quantities[place].tolist()
                    ),
                    asks=_pairs(
                        levels.ask_prices[place].tolist(), levels.ask_quantities[place].tolist()
                    ),
                    day=day,
                    **_sensitivities(now, place, is_future=bool(board.is_future[row])),
                )
            )
        return out

    def _vix(self, prices: noise.Floats) -> float:
        row = self.market.rows.get(VIX_KEY)
        return 13.5 if row is None else float(prices[row])


def _auction(standing: Standing | None, row: int, levels: Books, place: int) -> dict[str, Any]:
    """The indicative figures of a row whose auction shows any."""
    if standing is None or np.isnan(standing.indicative[row]):
        return {}
    return {
        "indicative_price": float(standing.indicative[row]),
        "indicative_quantity": int(levels.total_bid[place]),
        "reference_price": float(standing.reference[row]),
    }


def _sensitivities(values: Values, place: int, *, is_future: bool) -> dict[str, Any]:
    """Volatility and greeks as the feed rounds them; a future has none."""
    if is_future:
        return {}
    greeks = values.greeks
    return {
        "implied_volatility": float(values.volatility[place]),
        "greeks": (
            round(float(greeks.delta[place]), 4),
            round(float(greeks.theta[place]), 4),
            round(float(greeks.gamma[place]), 6),
            round(float(greeks.vega[place]), 4),
            round(float(greeks.rho[place]), 4),
        ),
    }


def _pairs(prices: list[float], quantities: list[int]) -> tuple[tuple[float, int], ...]:
    return tuple(
        [(price, size) for price, size in zip(prices, quantities, strict=True) if size > 0]
    )


def _day(state: State, row: int, start_ms: int) -> Bar:
    return Bar(
        float(state.open[row]),
        float(state.high[row]),
        float(state.low[row]),
        float(state.last[row]),
        int(state.volume[row]),
        start_ms,
    )


def _minute(state: State, row: int, start_ms: int) -> Bar:
    opened, high, low, close = state.minute_bars[row].tolist()
    return Bar(opened, high, low, close, int(state.minute_volume[row]), start_ms)
