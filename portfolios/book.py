"""Every portfolio valued and ranked in one vectorised pass over columns.

Exactness. The ledger is Decimal and is never touched here. Live figures are float64 rupees:
every balance is a whole number of paise below 2**53 and every product of a quantity and a price
has a relative error below 2**-52, so a portfolio's sums are within half a paisa per position of
the Decimal recomputation (`valuation.value_exact`, which tests hold them against). Equity is
rounded to the paisa before anything is compared, so that two equal portfolios rank equal.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from mockmarket.core.money import ZERO
from portfolios import leaderboard
from portfolios.valuation import PortfolioRow, PositionRow

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Every portfolio at one set of prices. Arrays run parallel, one element a portfolio, and
    belong to the snapshot alone. `rank` 0 means not ranked."""

    snapshot_id: int
    at_ms: int
    price_age_ms: int | None  # of the oldest price used
    ids: Ints
    contest: Ints
    equity: Floats
    invested: Floats
    unrealised: Floats
    day_pnl: Floats
    return_percent: Floats
    rank: Ints
    of: Mapping[int, int]  # contest id -> portfolios ranked

    def index(self) -> dict[int, int]:
        """Portfolio id -> its place in the arrays."""
        return {int(key): place for place, key in enumerate(self.ids)}


class _Columns:
    """Columns that grow together, and the rows of them that are free."""

    def __init__(self, *, ints: tuple[str, ...], floats: tuple[str, ...]) -> None:
        self._ints: dict[str, Ints] = {name: np.zeros(64, np.int64) for name in ints}
        self._floats: dict[str, Floats] = {name: np.zeros(64) for name in floats}
        self._capacity = 64
        self.size = 0
        self._free: list[int] = []

    def ints(self, name: str) -> Ints:
        return self._ints[name][: self.size]

    def floats(self, name: str) -> Floats:
        return self._floats[name][: self.size]

    def allocate(self) -> int:
        if self._free:
            return self._free.pop()
        if self.size == self._capacity:
            self._ints = {n: np.concatenate([a, np.zeros_like(a)]) for n, a in self._ints.items()}
            self._floats = {
                n: np.concatenate([a, np.zeros_like(a)]) for n, a in self._floats.items()
            }
            self._capacity *= 2
        self.size += 1
        return self.size - 1

    def write(self, at: int, *, ints: Mapping[str, int], floats: Mapping[str, float]) -> None:
        for name, whole in ints.items():
            self._ints[name][at] = whole
        for name, value in floats.items():
            self._floats[name][at] = value

    def release(self, at: int) -> None:
        for whole in self._ints.values():
            whole[at] = 0
        for values in self._floats.values():
            values[at] = 0.0
        self._free.append(at)


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Positions in the order of their portfolios, so that one reduction sums them all: three times
    as quick as summing by index. Made anew when a position changes; the order is then nearly
    right already, which the stable sort uses."""

    row: Ints  # of the board
    quantity: Floats
    start_quantity: Floats
    cost: Floats
    start_cost: Floats  # where a position without a price began its day
    first: Ints  # of each portfolio that has positions
    slot: Ints  # that portfolio
    size: int  # portfolios

    @classmethod
    def of(cls, rows: _Columns, *, size: int) -> "_Sorted":
        order = np.argsort(rows.ints("slot"), kind="stable")
        slot = rows.ints("slot")[order]
        opens = np.ones(len(slot), bool)
        opens[1:] = slot[1:] != slot[:-1]
        cost = rows.floats("cost")[order]
        return cls(
            row=rows.ints("row")[order],
            quantity=rows.floats("quantity")[order],
            start_quantity=rows.floats("start_quantity")[order],
            cost=cost,
            start_cost=cost - rows.floats("day_cost")[order],
            first=np.flatnonzero(opens),
            slot=slot[opens],
            size=size,
        )

    def sums(self, values: Floats) -> Floats:
        """Sums of `values` by the portfolio that each belongs to."""
        found = np.zeros(self.size)
        if len(values):
            found[self.slot] = np.add.reduceat(values, self.first)
        return found


class Book:
    """Positions of every portfolio as columns. One owner: the engine's loop.

    `row_of` gives the board row of an instrument key. Rows of the portfolios that are held stay
    available (`rows`), so that a message can be built without the database.
    """

    def __init__(self, *, row_of: Callable[[str], int]) -> None:
        self._row_of = row_of
        self._portfolios = _Columns(
            ints=("id", "contest", "ranked"),
            # balance is cash + margin; invested the sum of |cost|; day_spent what the
            # session's fills and their charges took
            floats=("balance", "paid_in", "invested", "cost", "day_spent"),
        )
        self._positions = _Columns(
            ints=("slot", "row"),  # of the portfolio, of the board
            floats=("quantity", "start_quantity", "cost", "day_cost"),
        )
        self._slots: dict[int, int] = {}
        # portfolio id -> its positions with their rows
        self._held: dict[int, list[tuple[int, PositionRow]]] = {}
        self._holders: Counter[str] = Counter()  # open positions by instrument
        self._fallback: dict[int, tuple[float, float]] = {}
        self.fallback_keys: set[str] = set()
        self._last_id = 0
        # Of the newest snapshot, by board row.
        self._last = self._close = np.zeros(0)
        # Kept while positions and previous closes stay as they are, as they mostly do.
        self._sorted: _Sorted | None = None
        self._began: Floats | None = None
        self._held_rows: Ints = np.zeros(0, np.int64)
        self.rows: dict[int, PortfolioRow] = {}

    def __len__(self) -> int:
        return len(self._slots)

    def set_fallback(self, *, instrument_key: str, last: float, previous_close: float) -> None:
        """The price to use while the board has none; NaN where unknown."""
        self._fallback[self._row_of(instrument_key)] = (last, previous_close)
        self.fallback_keys.add(instrument_key)

    def interest(self) -> set[str]:
        """Keys of the instruments of open positions."""
        return set(self._holders)

    def _count(self, portfolio_id: int, change: int) -> None:
        """Keep count of who holds what: asked each second, it may not walk every position."""
        row = self.rows.get(portfolio_id)
        for position in row.positions if row is not None else ():
            if position.quantity:
                self._holders[position.instrument_key] += change
                if not self._holders[position.instrument_key]:
                    del self._holders[position.instrument_key]

    def put(self, portfolio: PortfolioRow, *, session_date: date) -> None:
        """Take over what the database says of one portfolio, replacing what stood here."""
        self._sorted = None
        self._release_positions(portfolio.id)
        slot = self._slots.get(portfolio.id)
        if slot is None:
            slot = self._slots[portfolio.id] = self._portfolios.allocate()
        held, spent = [], ZERO
        for position in portfolio.positions:
            day_quantity, day_cost, day_charges = position.today(session_date)
            spent += day_cost + day_charges
            if not position.quantity and not day_quantity:  # no price can move it
                continue
            row = self._positions.allocate()
            held.append((row, position))
            self._positions.write(
                row,
                ints={"slot": slot, "row": self._row_of(position.instrument_key)},
                floats={
                    "quantity": position.quantity,
                    "start_quantity": position.quantity - day_quantity,
                    "cost": float(position.cost),
                    "day_cost": float(day_cost),
                },
            )
        self._held[portfolio.id] = held
        self._count(portfolio.id, -1)
        self.rows[portfolio.id] = portfolio
        self._count(portfolio.id, 1)
        self._portfolios.write(
            slot,
            ints={
                "id": portfolio.id,
                "contest": portfolio.contest_id,
                "ranked": int(portfolio.ranked),
            },
            floats={
                "balance": float(portfolio.cash + portfolio.margin),
                "paid_in": float(portfolio.paid_in),
                "invested": float(sum((abs(p.cost) for p in portfolio.positions), ZERO)),
                "cost": float(sum((p.cost for p in portfolio.positions), ZERO)),
                "day_spent": float(spent),
            },
        )

    def drop(self, portfolio_id: int) -> None:
        """Forget a portfolio; one that is not held is none."""
        self._sorted = None
        self._release_positions(portfolio_id)
        self._count(portfolio_id, -1)
        self.rows.pop(portfolio_id, None)
        slot = self._slots.pop(portfolio_id, None)
        if slot is not None:
            self._portfolios.release(slot)

    def _release_positions(self, portfolio_id: int) -> None:
        for row, _ in self._held.pop(portfolio_id, ()):
            self._positions.release(row)

    def _prices(self, last: Floats, previous_close: Floats) -> tuple[Floats, Floats]:
        """Columns with the fallback in place of what the board does not know."""
        last, previous_close = last.copy(), previous_close.copy()
        for row, (fallback_last, fallback_close) in self._fallback.items():
            if np.isnan(last[row]):
                last[row] = fallback_last
            if np.isnan(previous_close[row]):
                previous_close[row] = fallback_close
        return last, np.where(np.isnan(previous_close), last, previous_close)

    def _mark(self, last: Floats, close: Floats) -> tuple[Floats, Floats]:
        """What each portfolio's positions are worth, and where their day began."""
        held = self._sorted
        if held is None:
            held = self._sorted = _Sorted.of(self._positions, size=self._portfolios.size)
            self._held_rows = np.unique(held.row[held.quantity != 0])
            self._began = None
        if self._began is None or not np.array_equal(close, self._close):
            self._close = close
            self._began = held.sums(close[held.row] * held.start_quantity)
        # "clip" only spares the check of indices; every row is on the board.
        value = np.take(last, held.row, mode="clip")
        np.multiply(value, held.quantity, out=value)
        if not np.isnan(value.sum()):
            return held.sums(value), self._began
        # Positions that were never priced stand at cost and have no day.
        unknown = np.isnan(value)
        value[unknown] = held.cost[unknown]
        start = np.where(unknown, held.start_cost, close[held.row] * held.start_quantity)
        return held.sums(value), held.sums(start)

    def value(
        self,
        *,
        last: Floats,
        previous_close: Floats,
        at_ms: int,
        received_ms: Floats | None = None,
    ) -> Snapshot:
        """All portfolios at one set of board columns (one element a board row, NaN unknown)."""
        last, close = self._prices(last, previous_close)
        self._last = last
        worth, began = self._mark(last, close)
        columns, size = self._portfolios, self._portfolios.size
        equity = np.rint((columns.floats("balance") + worth) * 100) / 100
        paid_in = columns.floats("paid_in")
        gained = np.divide(equity - paid_in, paid_in, out=np.zeros(size), where=paid_in != 0)
        live = np.flatnonzero(columns.ints("id"))
        ids, contest = columns.ints("id")[live], columns.ints("contest")[live]
        rank, of = leaderboard.ranks(
            contest=contest, score=gained[live], ranked=columns.ints("ranked")[live] == 1
        )
        self._last_id = max(at_ms, self._last_id + 1)
        return Snapshot(
            snapshot_id=self._last_id,
            at_ms=at_ms,
            price_age_ms=self._oldest(received_ms, at_ms),
            ids=ids,
            contest=contest,
            equity=equity[live],
            invested=columns.floats("invested")[live],
            unrealised=(np.rint((worth - columns.floats("cost")) * 100) / 100)[live],
            day_pnl=(np.rint((worth - began - columns.floats("day_spent")) * 100) / 100)[live],
            return_percent=gained[live] * 100,
            rank=rank,
            of=of,
        )

    def _oldest(self, received_ms: Floats | None, at_ms: int) -> int | None:
        if received_ms is None or not len(self._held_rows):
            return None
        oldest = np.fmin.reduce(received_ms[self._held_rows])
        return None if np.isnan(oldest) else max(0, at_ms - int(oldest))

    def positions(self, portfolio_id: int) -> list[dict[str, float | int | str]]:
        """The open positions of one portfolio at the prices of the newest snapshot, as messages
        show them: rupees to the paisa, average price to four decimals."""
        return [
            self._shown(position, row)
            for row, position in self._held.get(portfolio_id, ())
            if position.quantity
        ]

    def _shown(self, position: PositionRow, row: int) -> dict[str, float | int | str]:
        columns, board_row = self._positions, self._positions.ints("row")[row]
        cost, day_cost = columns.floats("cost")[row], columns.floats("day_cost")[row]
        last, average = self._last[board_row], cost / position.quantity
        value, start = cost, cost - day_cost
        if not np.isnan(last):
            value = last * position.quantity
            start = self._close[board_row] * columns.floats("start_quantity")[row]
        return {
            "instrument_key": position.instrument_key,
            "symbol": position.symbol,
            "product": position.product,
            "quantity": position.quantity,
            "average_price": round(float(average), 4),
            "last_price": round(float(average if np.isnan(last) else last), 4),
            "value": round(float(value), 2),
            "unrealised_pnl": round(float(value - cost), 2),
            "day_pnl": round(float(value - start - day_cost), 2),
        }
