"""The seeded market as a source: shares, indices, futures and options, in beats."""

from collections import ChainMap
from collections.abc import Collection, Mapping, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt

from marketdata.exchange import auctions, history, noise
from marketdata.exchange.auctions import Standing
from marketdata.exchange.derivatives import Board
from marketdata.exchange.hours import Hours, Phases
from marketdata.exchange.listing import VIX_KEY, VIX_USUAL, Listing
from marketdata.exchange.paths import u_shape
from marketdata.exchange.prices import Market, State
from marketdata.exchange.records import Bar, Record
from marketdata.exchange.tape import Tape
from marketdata.sessions import CAS_MARKET, Phase
from mockmarket.core import clock

Rows = npt.NDArray[np.int64]


class SimulatedSource:
    """The seeded market in beats of `beat_ms`: every number belongs to a beat, not to a call.

    `tick_rate` is ticks a second and instrument. `speed` runs the path faster than the clock
    from `started_ms` on; times sent stay those of the clock.
    """

    def __init__(
        self,
        *,
        market: Market,
        seed: int,
        tick_rate: float,
        beat_ms: int,
        speed: float = 1.0,
        started_ms: int = 0,
    ) -> None:
        self.market = market
        self._seed = seed
        self._beat_ms = beat_ms
        self._chance = min(1.0, tick_rate * beat_ms / 1000)
        self._speed = speed
        self._started_ms = started_ms
        self._tape = Tape(market=market, seed=seed, beat_ms=beat_ms)
        self._eligible = np.array([listing.cas_eligible for listing in market.listings])
        self._slot = -1
        self._spots = {listing.key: listing for listing in market.listings}
        self._listings: Mapping[str, Listing] = self._spots
        self._board: Board | None = None
        self.board(now_ms=started_ms or clock.now_ms())

    @property
    def listings(self) -> Mapping[str, Listing]:
        return self._listings

    def board(self, *, now_ms: int) -> Board:
        day, _ = self.hours.position(self._path_ms(now_ms))
        market = self.market
        if self._board is None or self._board.day != day or self._board.splits is not market.splits:
            self._board = Board(market=market, seed=self._seed, day=day)
            contracts = {row.listing.key: row.listing for row in self._board.contracts}
            self._listings = ChainMap(self._spots, contracts)
        return self._board

    @property
    def hours(self) -> Hours:
        return self.market.hours

    @property
    def patient(self) -> bool:
        """A market goes on: who reads too slowly is cut off."""
        return False

    def due(
        self, *, now_ms: int, wanted: Collection[str], depth: int = 5
    ) -> list[Sequence[Record]]:
        slot = now_ms // self._beat_ms
        if slot == self._slot:
            return []
        self._slot = slot
        at_ms = slot * self._beat_ms
        trades, contracts_trade = self.hours.is_open(at_ms), self._contracts_trade(at_ms)
        if not trades and not contracts_trade and not self._auction(at_ms):
            return []
        board = self.board(now_ms=now_ms)
        spots = self._ticking([self.market.rows.get(key, -1) for key in wanted], self.market, slot)
        derived = self._ticking([board.rows.get(key, -1) for key in wanted], board, slot)
        state, standing = self._look(at_ms)
        if standing is not None:
            spots = spots[standing.tells[spots] | (~standing.mask[spots] & trades)]
        elif not trades:
            spots = spots[:0]
        records = self._tape.spots(spots, state, standing, slot=slot, depth=depth)
        if contracts_trade:
            records += self._contracts(board, derived, (state, standing), slot, depth)
        return [records] if records else []

    def _contracts_trade(self, at_ms: int) -> bool:
        return self.hours.phase("NSE_FO", at_ms=at_ms) is Phase.CONTINUOUS

    def _auction(self, at_ms: int) -> bool:
        phase = self.hours.phase(CAS_MARKET, at_ms=at_ms)
        return phase in (Phase.PRE_OPEN, Phase.CLOSING_AUCTION)

    def _look(self, at_ms: int) -> tuple[State, Standing | None]:
        """The market at an instant. A path that runs at another speed has no auctions."""
        if self._speed != 1.0:
            return self.market.state(self._path_ms(at_ms)), None
        return auctions.look(self.market, self._eligible, at_ms=at_ms)

    def _contracts(
        self,
        board: Board,
        rows: Rows,
        look: tuple[State, Standing | None],
        slot: int,
        depth: int,
    ) -> list[Record]:
        """Contracts follow their underlyings' paths, which run on while an auction stands."""
        if not len(rows):
            return []
        state, standing = look
        path_ms = self._path_ms(slot * self._beat_ms)
        path = state if standing is None else self.market.state(path_ms)
        _, second = self.hours.position(path_ms)
        return self._tape.contracts(board, rows, path, second=second, slot=slot, depth=depth)

    def _ticking(self, places: list[int], columns: Market | Board, slot: int) -> Rows:
        """The rows among `places` that tick in this beat; -1 is no row."""
        rows = np.array([place for place in places if place >= 0], dtype=np.int64)
        if not len(rows):
            return rows
        draws = noise.uniforms(self._seed, "tick", columns.names[rows], np.array([slot]))[:, 0]
        return rows[draws < self._chance]

    def records(self, *, keys: Collection[str], now_ms: int, depth: int = 5) -> list[Record]:
        board = self.board(now_ms=now_ms)
        slot = now_ms // self._beat_ms
        state, standing = self._look(slot * self._beat_ms)
        spots = np.array([self.market.rows[k] for k in keys if k in self.market.rows], np.int64)
        derived = np.array([board.rows[key] for key in keys if key in board.rows], np.int64)
        found = self._tape.spots(spots, state, standing, slot=slot, depth=depth)
        found += self._contracts(board, derived, (state, standing), slot, depth)
        by_key = {record.key: record for record in found}
        return [by_key[key] for key in keys if key in by_key]

    def minute_bars(self, *, key: str, day: date, now_ms: int) -> list[Bar]:
        today, second = self.hours.position(now_ms)
        if day > today or not self.hours.is_session(day):
            return []
        prices, volumes = self._minutes(key, day, now_ms)
        count = len(prices)
        if day == today:
            count = min(int(second) // 60, count)
        bars = [
            Bar(opened, high, low, close, int(volume), self.hours.clock_ms(day, 60 * minute))
            for minute, ((opened, high, low, close), volume) in enumerate(
                zip(prices[:count].tolist(), volumes[:count].tolist(), strict=True)
            )
        ]
        if not self.hours.is_regular(day):
            return history.by_minute(bars)
        if day == today and second < self.hours.length_s and key in self.market.rows:
            row = self.market.rows[key]
            bars.append(self._forming(row, now_ms, int(second) // 60, volumes))
        return self._auctioned(key, day, bars, now_ms)

    def _auctioned(self, key: str, day: date, bars: list[Bar], now_ms: int) -> list[Bar]:
        """The last minutes of what closes by auction: nothing, then the one trade."""
        begins_ms, match_ms = self.hours.auction_ms(day), self.hours.match_ms(day)
        if begins_ms is None or match_ms is None or not self.listings[key].cas_eligible:
            return bars
        traded = [bar for bar in bars if bar.start_ms < begins_ms]
        if now_ms < match_ms:
            return traded
        volume = sum(bar.volume for bar in bars[len(traded) :])
        close = bars[-1].close
        return [*traded, Bar(close, close, close, close, volume, match_ms)]

    def _minutes(self, key: str, day: date, now_ms: int) -> tuple[noise.Floats, noise.Floats]:
        """Bars and volumes of a whole session; a contract's follow from its underlying's."""
        if key in self.market.rows:
            return self.market.minute_bars(self.market.rows[key], day)
        board = self.board(now_ms=now_ms)
        row = board.rows[key]
        spot, _ = self.market.minute_bars(int(board.spot_row[row]), day)
        vix_row = self.market.rows.get(VIX_KEY)
        vix = self.market.minute_bars(vix_row, day)[0][:, 0] if vix_row is not None else VIX_USUAL
        start = self.hours.start_ms(day)
        minutes: noise.Floats = np.arange(len(spot) + 1, dtype=np.float64) * 60_000.0 + start
        rows = np.full(len(spot), row, dtype=np.int64)
        corners = [
            board.values(rows, spot=spot[:, place], vix=vix, at_ms=at).price
            for place, at in (
                (0, minutes[:-1]),
                (1, minutes[:-1]),
                (2, minutes[:-1]),
                (3, minutes[1:]),
            )
        ]
        prices = np.stack(
            [corners[0], np.max(corners, axis=0), np.min(corners, axis=0), corners[3]], axis=1
        )
        volume = np.floor(board.usual_volume[row] * u_shape(len(spot)))
        return np.round(prices, 2), volume

    def _forming(self, row: int, now_ms: int, minute: int, volumes: noise.Floats) -> Bar:
        """The minute that is under way, from its whole seconds so far."""
        start = self.hours.start_ms(self.hours.position(now_ms)[0]) + minute * 60_000
        seconds = range(start, max(now_ms, start + 1), 1000)
        prices = [float(self.market.state(self._path_ms(at)).last[row]) for at in seconds]
        part = min(1.0, (now_ms - start) / 60_000)
        volume = int(volumes[minute] * part)
        return Bar(prices[0], max(prices), min(prices), prices[-1], volume, start)

    def day_bars(self, *, key: str, days: Sequence[date], now_ms: int) -> list[Bar]:
        today, _ = self.hours.position(now_ms)
        past = [day for day in days if day < today and self.hours.is_session(day)]
        if key in self.market.rows:
            rows = self.market.day_bars(self.market.rows[key], past, today=today)
            bars = [
                Bar(*row, self.hours.midnight_ms(day)) for row, day in zip(rows, past, strict=True)
            ]
        else:
            board = self.board(now_ms=now_ms)
            listed = board.contracts[board.rows[key]].listed_from
            bars = [self._past_day(key, day, now_ms) for day in past if day >= listed]
        if today in days:
            bars += [r.day for r in self.records(keys=[key], now_ms=now_ms) if r.day is not None]
        return bars

    def _past_day(self, key: str, day: date, now_ms: int) -> Bar:
        """A past day of a contract, from its minutes."""
        bars, volumes = self._minutes(key, day, now_ms)
        high, low = float(bars[:, 1].max()), float(bars[:, 2].min())
        first, last = float(bars[0, 0]), float(bars[-1, 3])
        return Bar(first, high, low, last, int(volumes.sum()), self.hours.midnight_ms(day))

    def phases(self, *, now_ms: int) -> Phases:
        return self.hours.phases(at_ms=now_ms)

    def _path_ms(self, now_ms: int) -> int:
        if self._speed == 1.0 or now_ms <= self._started_ms:
            return now_ms
        return self._started_ms + round((now_ms - self._started_ms) * self._speed)
