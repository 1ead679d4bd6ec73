"""The simulated market: prices, volumes and bars of every listing at any instant.

A share's log price is its loadings times the market's, its sector's and its own walk. An index
is computed from its constituents' prices on their grids, so anyone can recompute it. Prices are
kept as counts of ticks: a price off the grid cannot be written down.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.exchange import noise
from marketdata.exchange.factors import Factors
from marketdata.exchange.hours import Hours
from marketdata.exchange.listing import BAND, Listing, Split
from marketdata.exchange.noise import Floats
from marketdata.exchange.paths import SECONDS, Paths, running, stretch, u_shape

Ticks = npt.NDArray[np.int32]
Rows = npt.NDArray[np.int64]
DayBar = tuple[float, float, float, float, int]

_INDEX_DAYS_EXACT = 10
# Days whose minutes are computed together for a history of days.
_DAYS_AT_ONCE = 16
# Minutes of second-by-second prices held at once.
BLOCK = 60
# Minutes of so many (listing, day), 15 to 60 kB each, and the days of so many listings, 0.2 MB for
# two years, stay in memory. The product keeps candles of its own: it asks for most only once.
_BARS_KEPT = 2_000
_DAY_BARS_KEPT = 100


@dataclass(frozen=True, slots=True)
class State:
    """All listings at one instant, in the order of `Market.listings`. Prices in rupees.

    `minute` is the last completed minute of the session (-1: none yet) and `minute_bars` its
    open, high, low, close (columns) with `minute_volume`.
    """

    at_ms: int
    day: date
    last: Floats
    open: Floats
    high: Floats
    low: Floats
    previous_close: Floats
    volume: Floats
    average: Floats
    minute: int
    minute_bars: Floats
    minute_volume: Floats


@dataclass(slots=True)
class _Day:
    """A session: its minutes whole, and one block of its seconds."""

    day: date
    edges: Floats  # factor levels at minute edges [columns, minutes + 1]
    previous_close: Ticks
    bars: Ticks  # [minutes, listings, 4]
    volumes: Floats
    volume_before: Floats
    turnover_before: Floats
    block_start: int
    block: Ticks  # [seconds + 1, listings]
    block_high: Ticks
    block_low: Ticks


class Market:
    """Every price of one seed. `state` has one owner, the exchange's loop; bars any thread."""

    def __init__(self, *, listings: Sequence[Listing], seed: int, hours: Hours) -> None:
        self.listings = tuple(listings)
        self.hours = hours
        self.rows = {listing.key: row for row, listing in enumerate(self.listings)}
        self.tick = np.array([listing.tick for listing in self.listings])
        self.lot = np.array([listing.lot for listing in self.listings], dtype=np.int64)
        self.is_index = np.array([listing.is_index for listing in self.listings])
        self.names = noise.columns([listing.key for listing in self.listings])
        self._seed = seed
        self._paths = Paths(seed=seed, hours=hours)
        factors = Factors(self.listings, self.names)
        self._columns, self._loadings = factors.columns, factors.loadings
        self._shares, self._indices = factors.shares, factors.indices
        self._weights, self._alone = factors.weights, factors.alone
        self._deviation = factors.deviation
        self._day: _Day | None = None
        self._bars_lock = threading.Lock()
        self._day_bars: OrderedDict[int, dict[date, DayBar]] = OrderedDict()
        self._bars: OrderedDict[tuple[int, date], tuple[Floats, Floats]] = OrderedDict()
        self.put_splits(())

    def put_splits(self, splits: Sequence[Split]) -> None:
        """From now on these hold, oldest first: prices divide, the past's too, as in the adjusted
        history that brokers serve. Indices, being relative, stay."""
        factor = np.ones(len(self.listings))
        for split in splits:
            if split.key in self.rows:
                factor[self.rows[split.key]] *= float(split.factor)
        self.splits = tuple(splits)
        self.reference = np.array([listing.reference for listing in self.listings]) / factor
        usual = np.array([max(listing.volume, 1_000.0) for listing in self.listings])
        self.volume = np.where(self.is_index, 0, usual * factor)
        self._day = None
        with self._bars_lock:
            self._day_bars.clear()
            self._bars.clear()

    # --- the instant -----------------------------------------------------------------------
    def state(self, at_ms: int) -> State:
        """Every listing at `at_ms`. Cheap while time moves on; a new block costs milliseconds."""
        day, second = self.hours.position(at_ms)
        held = self._at(day, second)
        whole = min(int(second), self.hours.length_s - 1)
        row = whole - held.block_start * SECONDS
        share = second - whole
        before = held.block[row]
        last = np.rint(before + (held.block[row + 1] - before) * share)
        minute = min(whole // SECONDS, self.hours.minutes - 1)
        part = (second - minute * SECONDS) / SECONDS
        volume = np.floor(held.volume_before[minute] + held.volumes[minute] * part)
        turnover = held.turnover_before[minute] + last * held.volumes[minute] * part
        with np.errstate(divide="ignore", invalid="ignore"):
            average = np.where(volume > 0, turnover / np.maximum(volume, 1), last)
        done = minute - 1 if second < self.hours.length_s else minute
        return State(
            at_ms=at_ms,
            day=day,
            last=self._rupees(last),
            open=self._rupees(held.bars[0, :, 0]),
            high=self._rupees(np.maximum(held.block_high[row], last)),
            low=self._rupees(np.minimum(held.block_low[row], last)),
            previous_close=self._rupees(held.previous_close),
            volume=volume,
            average=np.round(average * self.tick, 2),
            minute=done,
            minute_bars=self._rupees(held.bars[max(done, 0)].T).T,
            minute_volume=np.floor(held.volumes[max(done, 0)]),
        )

    def _at(self, day: date, second: float) -> _Day:
        minute = min(int(second) // SECONDS, self.hours.minutes - 1)
        if self._day is None or self._day.day != day:
            self._day = self._open(day)
        held = self._day
        if not held.block_start <= minute < held.block_start + BLOCK:
            self._compute_block(held, minute - minute % BLOCK)
        return held

    def _open(self, day: date) -> _Day:
        edges = self._paths.minutes(self._columns, day)
        before = self._paths.day_end(self._columns, self.hours.previous(day))
        close = self._to_ticks(before[:, None], None)[0]
        rows = self._all_rows()
        bars = self._bars_between(rows, day, self._to_ticks(edges, close), close)
        volumes = self._volumes(rows, day)
        empty = np.zeros((0, len(rows)), dtype=np.int32)
        return _Day(
            day=day,
            edges=edges,
            previous_close=close,
            bars=bars,
            volumes=volumes,
            volume_before=running(volumes),
            turnover_before=running(bars[:, :, 1:].mean(axis=2) * volumes),
            block_start=-BLOCK,
            block=empty,
            block_high=empty,
            block_low=empty,
        )

    def _compute_block(self, held: _Day, first: int) -> None:
        """The seconds of BLOCK minutes from `first`."""
        count = min(BLOCK, self.hours.minutes - first)
        levels = self._paths.seconds(
            self._columns, held.day, held.edges[:, first : first + count + 1], first
        )
        counts = self._share_counts(levels, held.previous_close)
        ticks = self._with_indices(
            stretch(counts, held.bars[first : first + count, self._shares]), levels
        )
        high = np.maximum.accumulate(ticks, axis=0)
        low = np.minimum.accumulate(ticks, axis=0)
        if first:
            high = np.maximum(high, held.bars[:first, :, 1].max(axis=0))
            low = np.minimum(low, held.bars[:first, :, 2].min(axis=0))
        held.block_start, held.block = first, ticks
        held.block_high, held.block_low = high, low

    def _bars_between(self, rows: Rows, day: date, edges: Ticks, close: Ticks) -> Ticks:
        """Bars [minutes, rows, 4] from prices at the minutes' edges [minutes + 1, rows].

        High and low are drawn from the law of a walk between two known ends, so a year of bars
        needs no seconds; the seconds, where they are needed, are fitted between them.
        """
        index = np.int64(day.toordinal()) * 1440 + np.arange(self.hours.minutes, dtype=np.int64)
        opened, closed = edges[:-1].astype(np.float64), edges[1:].astype(np.float64)
        size = np.sqrt(self._paths.minute_variance)[:, None] * self._deviation[rows] * opened
        bars = np.empty((self.hours.minutes, len(rows), 4), dtype=np.int32)
        bars[:, :, 0], bars[:, :, 3] = edges[:-1], edges[1:]
        for place, stream, sign in ((1, "high", 1.0), (2, "low", -1.0)):
            draw = noise.uniforms(self._seed, stream, self.names[rows], index).T
            reach = np.sqrt((closed - opened) ** 2 - 2 * size**2 * np.log(1 - draw))
            bars[:, :, place] = np.rint((opened + closed + sign * reach) / 2)
        np.minimum(bars[:, :, 1], np.floor(close * (1 + BAND)).astype(np.int32), out=bars[:, :, 1])
        np.maximum(bars[:, :, 2], np.ceil(close * (1 - BAND)).astype(np.int32), out=bars[:, :, 2])
        bars[:, :, 1] = np.maximum(bars[:, :, 1], bars[:, :, (0, 3)].max(axis=2))
        bars[:, :, 2] = np.minimum(bars[:, :, 2], bars[:, :, (0, 3)].min(axis=2))
        return bars

    # --- history ---------------------------------------------------------------------------
    def minute_bars(self, row: int, day: date) -> tuple[Floats, Floats]:
        """(open-high-low-close [minutes, 4] in rupees, volume [minutes]) of a whole session."""
        with self._bars_lock:
            cached = self._bars.get((row, day))
        if cached is not None:
            return cached
        subset = self._subset(row)
        names = self._columns[subset]
        before = self._paths.day_end(names, self.hours.previous(day))[:, None]
        close = self._ticks_of(row, subset, before, None)
        edges = self._ticks_of(row, subset, self._paths.minutes(names, day), close)
        rows = np.array([row])
        bars = self._bars_between(rows, day, edges[:, None], close)[:, 0]
        answer = self._rupees_of(row, bars), np.floor(self._volumes(rows, day)[:, 0])
        with self._bars_lock:
            self._bars[row, day] = answer
            if len(self._bars) > _BARS_KEPT:
                self._bars.popitem(last=False)
        return answer

    def previous_close(self, row: int, day: date) -> float:
        """The closing price of the session before `day`, in rupees."""
        return self.previous_closes(row, [day])[0]

    def previous_closes(self, row: int, days: Sequence[date], *, units: float = 1.0) -> list[float]:
        """The same for several days, at the cost of about one; of `units` shares of today where
        those were one then."""
        subset = self._subset(row)
        before = np.array([self.hours.previous(day).toordinal() for day in days], dtype=np.int64)
        levels = self._paths.day_ends(self._columns[subset], before)
        closes: list[float] = self._rupees_of(
            row, self._ticks_of(row, subset, levels, None, units=units)
        ).tolist()
        return closes

    def day_bars(self, row: int, days: Sequence[date], *, today: date) -> list[DayBar]:
        """(open, high, low, close, volume) of whole sessions, under 1 ms a day.

        The minutes of an index need those of all its members, so the high and low of its older
        days are drawn from the day's ends alone, and differ a little from those of its minutes.
        """
        exact_from = today - timedelta(days=_INDEX_DAYS_EXACT)
        with self._bars_lock:
            known = self._day_bars.setdefault(row, {})
            self._day_bars.move_to_end(row)
            if len(self._day_bars) > _DAY_BARS_KEPT:
                self._day_bars.popitem(last=False)
            wanted = [day for day in days if day not in known]
        for start in range(0, len(wanted), _DAYS_AT_ONCE):
            chunk = wanted[start : start + _DAYS_AT_ONCE]
            rough = self.is_index[row] and chunk[-1] < exact_from
            bars = self._draw_days(row, chunk) if rough else self._compute_days(row, chunk)
            with self._bars_lock:
                known.update(zip(chunk, bars, strict=True))
        with self._bars_lock:
            return [known[day] for day in days]

    def _draw_days(self, row: int, days: Sequence[date]) -> list[DayBar]:
        """Days from their ends: the same law as that of minutes, one step up."""
        subset = self._subset(row)
        names = self._columns[subset]
        ordinals = np.array([day.toordinal() for day in days], dtype=np.int64)
        opened, closed = (
            self._ticks_of(row, subset, self._paths.day_ends(names, ends), None).astype(float)
            for ends in (ordinals - 1, ordinals)
        )
        size = self._deviation[row] * opened
        corners = [opened, closed]
        for stream, sign in (("high", 1.0), ("low", -1.0)):
            draw = noise.uniforms(self._seed, stream, self.names[row : row + 1], ordinals)[0]
            reach = np.sqrt((closed - opened) ** 2 - 2 * size**2 * np.log(1 - draw))
            corners.append(np.rint((opened + closed + sign * reach) / 2))
        first, last, high, low = (self._rupees_of(row, corner).tolist() for corner in corners)
        return list(zip(first, high, low, last, [0] * len(days), strict=True))

    def _compute_days(self, row: int, days: Sequence[date]) -> list[DayBar]:
        subset = self._subset(row)
        names = self._columns[subset]
        before = np.array([self.hours.previous(day).toordinal() for day in days], dtype=np.int64)
        close = self._ticks_of(row, subset, self._paths.day_ends(names, before), None)
        levels = self._paths.minutes_of(names, days)
        edges = self._ticks_of(row, subset, levels, close[:, None])
        rows = np.array([row])
        volumes = np.floor(self._day_volumes(rows, days))
        out: list[DayBar] = []
        for place, day in enumerate(days):
            bars = self._bars_between(rows, day, edges[place][:, None], close[place : place + 1])
            prices = (bars[0, 0, 0], bars[:, 0, 1].max(), bars[:, 0, 2].min(), bars[-1, 0, 3])
            opened, high, low, last = self._rupees_of(row, np.array(prices)).tolist()
            out.append((opened, high, low, last, int(volumes[place])))
        return out

    # --- levels to prices ------------------------------------------------------------------
    def _to_ticks(self, levels: Floats, previous_close: Ticks | None) -> Ticks:
        """Levels of all columns [columns, times] to ticks of all listings [times, listings]."""
        return self._with_indices(self._share_counts(levels, previous_close), levels)

    def _share_counts(self, levels: Floats, previous_close: Ticks | None) -> Floats:
        """Prices of the shares in ticks, not yet whole, inside the band: [times, shares]."""
        shares = self._shares
        counts: Floats = np.exp((self._loadings[shares] @ levels).T)
        counts *= self.reference[shares] / self.tick[shares]
        if previous_close is not None:
            close = previous_close[shares]
            np.clip(counts, np.ceil(close * (1 - BAND)), np.floor(close * (1 + BAND)), out=counts)
        return counts

    def _with_indices(self, counts: Floats, levels: Floats) -> Ticks:
        """Whole ticks of all listings; the indices follow from the shares' whole ticks."""
        ticks = np.empty((len(counts), len(self.listings)), dtype=np.int32)
        shares = self._shares
        ticks[:, shares] = np.maximum(np.rint(counts), 1)
        if len(self._indices):
            relative = ticks[:, shares] * (self.tick[shares] / self.reference[shares])
            alone = np.exp((self._loadings[self._indices] @ levels).T) * self._alone
            ticks[:, self._indices] = np.rint(
                (relative @ self._weights + alone)
                * (self.reference[self._indices] / self.tick[self._indices])
            )
        return ticks

    def _ticks_of(
        self, row: int, subset: Rows, levels: Floats, close: Ticks | None, *, units: float = 1.0
    ) -> Ticks:
        """The same for one listing, from only the columns that it needs."""
        if not self.is_index[row]:
            counts = np.exp(self._log(row, subset, levels))
            counts *= self.reference[row] * units / self.tick[row]
            if close is not None:
                counts = np.clip(counts, np.ceil(close * (1 - BAND)), np.floor(close * (1 + BAND)))
            whole: Ticks = np.maximum(np.rint(counts), 1).astype(np.int32)
            return whole
        place = int(np.flatnonzero(self._indices == row)[0])
        weights = self._weights[:, place]
        members = np.flatnonzero(weights)
        total = np.exp(self._log(row, subset, levels)) * self._alone[place]
        for member in members:
            share = self._shares[member]
            ticks = np.rint(
                np.exp(self._log(share, subset, levels))
                * (self.reference[share] / self.tick[share])
            )
            total += ticks * (self.tick[share] / self.reference[share]) * weights[member]
        index: Ticks = np.rint(total * (self.reference[row] / self.tick[row])).astype(np.int32)
        return index

    def _log(self, row: int, subset: Rows, levels: Floats) -> Floats:
        """The log price of a listing: its two or three columns out of `levels`."""
        loadings = self._loadings[row, subset]
        total: Floats = np.zeros(levels.shape[1:])
        for place in np.flatnonzero(loadings):
            total += loadings[place] * levels[place]
        return total

    def _subset(self, row: int) -> Rows:
        """The columns that a listing's price depends on."""
        rows = [row]
        if self.is_index[row]:
            place = int(np.flatnonzero(self._indices == row)[0])
            rows += self._shares[np.flatnonzero(self._weights[:, place])].tolist()
        return np.flatnonzero(np.any(self._loadings[rows] != 0, axis=0))

    def _rupees(self, ticks: npt.NDArray[Any]) -> Floats:
        rupees: Floats = np.round(ticks * self.tick, 2)
        return rupees

    def _rupees_of(self, row: int, ticks: Ticks) -> Floats:
        rupees: Floats = np.round(ticks * self.tick[row], 2)
        return rupees

    def _all_rows(self) -> Rows:
        return np.arange(len(self.listings), dtype=np.int64)

    def _volumes(self, rows: Rows, day: date) -> Floats:
        """Volume by minute [minutes, rows]: the day's volume spread over a noisy U."""
        index = np.int64(day.toordinal()) * 1440 + np.arange(self.hours.minutes, dtype=np.int64)
        minute = noise.normals(self._seed, "minute volume", self.names[rows], index)
        shape = np.exp(0.5 * minute) * u_shape(self.hours.minutes)
        shape *= (self._day_volumes(rows, [day]) / shape.sum(axis=1))[:, None]
        return np.ascontiguousarray(shape.T)

    def _day_volumes(self, rows: Rows, days: Sequence[date]) -> Floats:
        """Volume of each row and day, flattened: [rows × days]."""
        index = np.array([day.toordinal() for day in days], dtype=np.int64)
        mood = noise.normals(self._seed, "volume", self.names[rows], index)
        volumes: Floats = (self.volume[rows, None] * np.exp(0.3 * mood - 0.045)).ravel()
        return volumes
