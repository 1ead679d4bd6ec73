"""The desk: every live order in memory, asked one question a row on each tick.

Pure bookkeeping over shelves (trading/live.py), the matcher and numpy columns; no database, no
clock. What it decides goes to trading/settlement.py.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from marketdata.board import COLUMN, Board
from marketdata.models import Instrument
from mockmarket.core import clock
from trading import auction, quoting
from trading.bands import Bounds
from trading.explain import Look
from trading.liquidity import Pool
from trading.live import LiveOrder, Shelf, Stamp
from trading.matching import CLOSING_AUCTION, CONTINUOUS, Decision, Market
from trading.settlement import Decided

_LAST, _BID, _ASK, _VOLUME = (
    COLUMN["last_price"], COLUMN["bid"], COLUMN["ask"], COLUMN["volume"],
)  # fmt: skip
_INFINITY = float("inf")
PRE_OPEN = "PRE_OPEN"
# After the last match of a day: only square-offs that came too late still fill.
CLOSED_PHASES = frozenset({"POST_CLOSE", "CLOSED"})


class Desk:
    """All live orders. One owner: the engine's loop."""

    def __init__(self) -> None:
        self.phases: dict[str, str] = {}
        self.orders: dict[uuid.UUID, LiveOrder] = {}
        self._shelves: dict[int, Shelf] = {}
        self._set_aside: set[uuid.UUID] = set()
        self._tick = 0
        self._grow(0)

    def keys(self) -> set[str]:
        """Instruments of the live orders."""
        return {shelf.instrument.key for shelf in self._shelves.values() if shelf.count}

    def set_aside(self, order_id: uuid.UUID) -> None:
        """Leave an order alone that settlement cannot book, until the engine starts anew."""
        self._set_aside.add(order_id)
        self.remove(order_id)

    # --- Orders in and out --------------------------------------------------------------
    def take(self, rows: Iterable[LiveOrder], board: Board, *, complete: bool) -> set[int]:
        """Take over what the database says; the board rows with new or changed orders.

        `complete`: `rows` are all live orders, so others are gone.
        """
        touched: set[int] = set()
        seen: set[uuid.UUID] = set()
        for order in rows:
            seen.add(order.id)
            known = self.orders.get(order.id)
            if not order.live:
                self.remove(order.id)
            elif order.id not in self._set_aside and (
                known is None or known.version != order.version
            ):
                self.remove(order.id)
                touched.add(self._add(order, board))
        if complete:
            for order_id in [order_id for order_id in self.orders if order_id not in seen]:
                self.remove(order_id)
        return touched

    def _add(self, order: LiveOrder, board: Board) -> int:
        row = board.row(order.instrument.key)
        shelf = self._shelves.get(row)
        if shelf is None:
            shelf = Shelf(order.instrument, quoting.market_name(order.instrument), row)
            self._shelves[row] = shelf
        # The newest instrument row counts: tick size, halts and bands may have changed.
        shelf.instrument = order.instrument
        order.row, order.stamp = row, _stamp(board, row)
        self.orders[order.id] = order
        shelf.put(order)
        shelf.count += 1
        self._set_edges(shelf)
        return row

    def remove(self, order_id: uuid.UUID) -> None:
        """Forget an order, if it is here."""
        order = self.orders.pop(order_id, None)
        if order is None:
            return
        order.gone = True
        shelf = self._shelves[order.row]
        shelf.active.pop(order_id, None)
        shelf.count -= 1
        if not shelf.count:
            shelf.pools.clear()
        self._set_edges(shelf)

    # --- Columns ------------------------------------------------------------------------
    def _grow(self, rows: int) -> None:
        size = max(1024, 2 * rows)
        self._best_buy = np.full(size, -_INFINITY)
        self._best_sell = np.full(size, _INFINITY)
        self._stop_buy = np.full(size, _INFINITY)
        self._stop_sell = np.full(size, -_INFINITY)
        self._active = np.zeros(size, dtype=bool)
        self._volume = np.full(size, np.nan)
        self._traded = np.zeros(size)
        for shelf in self._shelves.values():
            self._set_edges(shelf)

    def _set_edges(self, shelf: Shelf) -> None:
        row = shelf.row
        if row >= len(self._active):
            self._grow(row)
            return
        (
            self._best_buy[row],
            self._best_sell[row],
            self._stop_buy[row],
            self._stop_sell[row],
            self._active[row],
        ) = shelf.edges()

    # --- Looking ------------------------------------------------------------------------
    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> list[Decided]:
        """Decide what the changed rows let act."""
        if len(board) > len(self._active):
            self._grow(len(board))
        self._tick += 1
        values = board.values[rows]
        last, volume = values[:, _LAST], values[:, _VOLUME]
        self._traded[rows] = volume - self._volume[rows]
        self._volume[rows] = volume
        best_buy, best_sell = self._best_buy[rows], self._best_sell[rows]
        # An unknown price is NaN, and NaN compares false.
        acts = (
            self._active[rows]
            | (values[:, _ASK] <= best_buy)
            | (last < best_buy)
            | (values[:, _BID] >= best_sell)
            | (last > best_sell)
            | (last >= self._stop_buy[rows])
            | (last <= self._stop_sell[rows])
        )
        if not acts.any():
            return []
        decisions: list[Decided] = []
        for row in rows[acts].tolist():
            decisions += self._look(self._shelves[row], board, now_ms, ticked=True)
        return decisions

    def look_at(self, rows: Iterable[int], board: Board, now_ms: int) -> list[Decided]:
        """Decide for rows whose orders are new, on the quotes as they stand."""
        decisions: list[Decided] = []
        for row in rows:
            decisions += self._look(self._shelves[row], board, now_ms, ticked=False)
        return decisions

    def look_at_active(self, board: Board, now_ms: int) -> list[Decided]:
        """Decide for orders that wait for any fresh quote: it may have grown old."""
        rows = [row for row, shelf in self._shelves.items() if shelf.active]
        return self.look_at(rows, board, now_ms)

    def _look(self, shelf: Shelf, board: Board, now_ms: int, *, ticked: bool) -> list[Decided]:
        phase = self.phases.get(shelf.market_name, "")
        if phase in CLOSED_PHASES:
            return self._square_off(shelf, board, now_ms, phase=phase)
        if phase != CONTINUOUS:
            return []
        row = shelf.row
        values = board.values[row]
        due = shelf.due(last=values[_LAST], bid=values[_BID], ask=values[_ASK])
        decisions: list[Decided] = []
        if due:
            quote = board.quote(shelf.instrument.key, phase=phase)
            assert quote is not None, "every shelf stands for a row of the board"
            market = quoting.from_quote(quote, shelf.instrument, phase=phase)
            traded = float(self._traded[row]) if ticked else 0.0
            stamp = _stamp(board, row)
            for order in due:
                decided = self._decide(order, shelf, market, stamp, traded, now_ms)
                if decided is not None:
                    decisions.append(decided)
                if not order.gone and order.filled < order.quantity:
                    shelf.put(order)
        self._set_edges(shelf)
        return decisions

    def match_auction(
        self,
        market_name: str,
        board: Board,
        now_ms: int,
        *,
        since_ms: int,
        bands: Mapping[int, Bounds],
    ) -> list[Decided]:
        """The closing auction of a market has ended: match its orders at the closing price, where
        the exchange has told one since `since_ms`. `bands` are the auction's by instrument id."""
        decisions: list[Decided] = []
        for shelf in self._shelves_of(market_name):
            market = self._traded_market(shelf, board, phase=CLOSING_AUCTION, since_ms=since_ms)
            if market is not None:
                low, high = bands.get(shelf.instrument.pk, (market.band_low, market.band_high))
                market = replace(market, band_low=low, band_high=high)
                decisions += self._at_one_price(shelf, market, now_ms, reason=auction.CLOSING)
        return decisions

    def match_opening(
        self, market_name: str, board: Board, now_ms: int, *, since_ms: int
    ) -> list[Decided]:
        """The pre-open of a market has ended: match its orders at the opening price of the day,
        where the exchange has told one since `since_ms`; the rest trades on continuously."""
        decisions: list[Decided] = []
        for shelf in self._shelves_of(market_name):
            market = self._traded_market(shelf, board, phase=PRE_OPEN, since_ms=since_ms)
            if market is not None:
                decisions += self._at_one_price(shelf, market, now_ms, reason=auction.OPENING)
        return decisions

    def instruments(self, market_name: str) -> list[Instrument]:
        """The instruments of a market that have live orders."""
        return [shelf.instrument for shelf in self._shelves_of(market_name)]

    def _shelves_of(self, market_name: str) -> list[Shelf]:
        shelves = self._shelves.values()
        return [shelf for shelf in shelves if shelf.count and shelf.market_name == market_name]

    def _traded_market(
        self, shelf: Shelf, board: Board, *, phase: str, since_ms: int
    ) -> Market | None:
        """The market at an auction's price: the day's open, or the last price; None where nothing
        has traded since `since_ms`."""
        quote = board.quote(shelf.instrument.key, phase=phase)
        if quote is None or (quote.last_trade_ms or 0) < since_ms:
            return None
        market = quoting.from_quote(quote, shelf.instrument, phase=phase)
        if phase != PRE_OPEN:
            return market
        return None if quote.open is None else replace(market, last_price=quote.open)

    def _square_off(self, shelf: Shelf, board: Board, now_ms: int, *, phase: str) -> list[Decided]:
        """The market has closed: positions that are squared off close at its last price."""
        quote = board.quote(shelf.instrument.key, phase=phase)
        if quote is None or quote.received_ms is None:
            return []
        market = quoting.from_quote(quote, shelf.instrument, phase=phase)
        return self._at_one_price(shelf, market, now_ms, reason=auction.SQUARE_OFF)

    def _at_one_price(
        self, shelf: Shelf, market: Market, now_ms: int, *, reason: str
    ) -> list[Decided]:
        """Everything that the market's last price lets trade, market orders first."""
        decisions: list[Decided] = []
        waiting = [order for order in self.orders.values() if order.row == shelf.row]
        for order in sorted(waiting, key=lambda order: (not order.market, order.serial)):
            if reason == auction.SQUARE_OFF and not order.closing:
                continue
            decision = auction.close_out(
                order=order.working(armed=False), market=market, reason=reason
            )
            if decision.matches:
                look = Look(order.working(armed=False), market, (), 0, order.settings, now_ms)
                decisions.append(self._decided(order, look, decision, order.filled, now_ms))
                order.filled += decision.quantity
        return decisions

    @staticmethod
    def _decided(
        order: LiveOrder, look: Look, decision: Decision, filled_before: int, now_ms: int
    ) -> Decided:
        return Decided(
            order_id=order.id,
            portfolio_id=order.portfolio_id,
            version=order.version,
            filled_before=filled_before,
            look=look,
            decision=decision,
            at=clock.from_ms(now_ms),
        )

    def _decide(
        self,
        order: LiveOrder,
        shelf: Shelf,
        market: Market,
        stamp: Stamp,
        traded: float,
        now_ms: int,
    ) -> Decided | None:
        """One order's look at the market; None when nothing about it changes."""
        pool = shelf.pools.setdefault(order.pool, Pool())
        displayed = market.asks if order.buy else market.bids
        share = int(traded * float(order.settings.participation)) if traded > 0 else 0
        look = Look(
            order=order.working(armed=stamp != order.stamp),
            market=market,
            offers=pool.offers(asks=order.buy, shown=displayed),
            traded=pool.see_trades(tick=self._tick, share=share),
            settings=order.settings,
            now_ms=now_ms,
        )
        decision = look.decide()
        resumed = order.waiting and not decision.waiting and not order.stop
        held = bool(decision.waiting) and not order.waiting
        filled_before = order.filled
        for matched in decision.matches:
            pool.take(
                asks=order.buy, shown=displayed, price=matched.price, quantity=matched.quantity
            )
            order.filled += matched.quantity
        order.triggered = order.triggered or decision.triggered
        order.resting = order.resting or decision.resting
        order.waiting = bool(decision.waiting)
        if decision.cancel:
            order.gone = True  # settlement ends it; until then nothing more may fill
        changed = decision.matches or decision.triggered or decision.resting or decision.cancel
        if not (changed or resumed or held):
            return None
        return self._decided(order, look, decision, filled_before, now_ms)


def _stamp(board: Board, row: int) -> Stamp:
    values = board.values[row]
    return float(values[_LAST]), float(values[_VOLUME]), float(board.extra[row, 0])
