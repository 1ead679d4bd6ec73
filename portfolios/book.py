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
    are never written to. `rank` 0 means not ranked."""

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

    @property
    def gaps(self) -> bool:
        """Whether some rows are free."""
        return bool(self._free)

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
class _Arranged:
    """What prices do not change, laid out for the pass: portfolios without gaps, positions in
    their order, so that one reduction sums them all: three times as quick as summing by index.
    Made anew when a portfolio changes; the order is then nearly right already, which the stable
    sort uses. Nothing here is written to: snapshots share its arrays."""

    # One element a portfolio.
    ids: Ints
    contest: Ints
    contests: leaderboard.Contests
    balance: Floats
    paid_in: Floats
    divisor: Floats  # the same, infinite where nothing was paid in: the return is then zero
    invested: Floats
    cost: Floats
    day_spent: Floats
    # One element a position.
    row: Ints  # of the board
    quantity: Floats
    start_quantity: Floats
    position_cost: Floats
    start_cost: Floats  # where a position without a price began its day
    # One element a portfolio that has positions.
    first: Ints  # of its positions
    place: Ints  # its own
    used: Ints  # board rows that positions ask for, each once
    held: Ints  # those of open positions
    worth: Floats  # room for the value of each position

    @classmethod
    def of(cls, portfolios: _Columns, positions: _Columns) -> "_Arranged":
        live = np.flatnonzero(portfolios.ints("id"))
        order = np.argsort(positions.ints("slot"), kind="stable")
        if positions.gaps:
            order = order[positions.ints("taken")[order] == 1]
        slot, row = positions.ints("slot")[order], positions.ints("row")[order]
        opens = np.ones(len(slot), bool)
        opens[1:] = slot[1:] != slot[:-1]
        contest, paid_in = portfolios.ints("contest")[live], portfolios.floats("paid_in")[live]
        quantity, cost = positions.floats("quantity")[order], positions.floats("cost")[order]
        return cls(
            ids=portfolios.ints("id")[live],
            contest=contest,
            contests=leaderboard.Contests.among(
                contest=contest, ranked=portfolios.ints("ranked")[live] == 1
            ),
            balance=portfolios.floats("balance")[live],
            paid_in=paid_in,
            divisor=np.where(paid_in == 0, np.inf, paid_in),
            invested=portfolios.floats("invested")[live],
            cost=portfolios.floats("cost")[live],
            day_spent=portfolios.floats("day_spent")[live],
            row=row,
            quantity=quantity,
            start_quantity=positions.floats("start_quantity")[order],
            position_cost=cost,
            start_cost=cost - positions.floats("day_cost")[order],
            first=np.flatnonzero(opens),
            place=np.searchsorted(live, slot[opens]),
            used=np.flatnonzero(np.bincount(row)),
            held=np.flatnonzero(np.bincount(row[quantity != 0])),
            worth=np.empty(len(row)),
        )

    def sums(self, values: Floats) -> Floats:
        """Sums of `values`, one a position, by portfolio."""
        if len(self.first) == len(self.ids) > 0:
            return np.add.reduceat(values, self.first)
        found = np.zeros(len(self.ids))
        if len(values):
            found[self.place] = np.add.reduceat(values, self.first)
        return found


def _paise(rupees: Floats) -> Floats:
    """Rounded to the paisa, in place."""
    rupees *= 100
    np.rint(rupees, out=rupees)
    rupees /= 100
    return rupees


class Book:
    """Positions of every portfolio as columns. One owner: the engine's loop.

    `row_of` gives the board row of an instrument key. Rows of the portfolios that are held stay
    available (`rows`), so that a message can be built without the database.
    """

    def __init__(self, *, row_of: Callable[[str], int]) -> None:
        self._row_of = row_of
        self._portfolios = _Columns(
            ints=("id", "contest", "ranked"),
            # balance is cash + margin; day_spent what the session's fills took, and what it
            # booked beside positions
            floats=("balance", "paid_in", "invested", "cost", "day_spent"),
        )
        self._positions = _Columns(
            ints=("slot", "row", "taken"),  # of the portfolio, of the board; 1: not free
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
        # Kept while portfolios and previous closes stay as they are, as they mostly do.
        self._arranged: _Arranged | None = None
        self._began: Floats | None = None
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
        self._arranged = None
        self._release_positions(portfolio.id)
        slot = self._slots.get(portfolio.id)
        if slot is None:
            slot = self._slots[portfolio.id] = self._portfolios.allocate()
        held, spent = [], -portfolio.day_booked
        for position in portfolio.positions:
            day_quantity, day_cost = position.today(session_date)
            spent += day_cost
            if not position.quantity and not day_quantity:  # no price can move it
                continue
            row = self._positions.allocate()
            held.append((row, position))
            self._positions.write(
                row,
                ints={"slot": slot, "row": self._row_of(position.instrument_key), "taken": 1},
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
                "invested": float(portfolio.invested),
                "cost": float(sum((p.cost for p in portfolio.positions), ZERO)),
                "day_spent": float(spent),
            },
        )

    def drop(self, portfolio_id: int) -> None:
        """Forget a portfolio; one that is not held is none."""
        self._arranged = None
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
        arranged = self._arrange()
        used = arranged.used
        if self._began is None or not np.array_equal(
            close[used], self._close[used], equal_nan=True
        ):
            self._began = arranged.sums(close[arranged.row] * arranged.start_quantity)
        self._close = close
        # "clip" only spares the check of indices; every row is on the board.
        value = np.take(last, arranged.row, mode="clip", out=arranged.worth)
        np.multiply(value, arranged.quantity, out=value)
        if not np.isnan(last[used]).any():
            return arranged.sums(value), self._began
        # Positions that were never priced stand at cost and have no day.
        unknown = np.isnan(value)
        value[unknown] = arranged.position_cost[unknown]
        start = np.where(
            unknown, arranged.start_cost, close[arranged.row] * arranged.start_quantity
        )
        return arranged.sums(value), arranged.sums(start)

    def _arrange(self) -> _Arranged:
        if self._arranged is None:
            self._arranged = _Arranged.of(self._portfolios, self._positions)
            self._began = None
        return self._arranged

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
        arranged = self._arrange()
        equity = _paise(arranged.balance + worth)
        gained = (equity - arranged.paid_in) / arranged.divisor
        day_pnl = worth - began
        day_pnl -= arranged.day_spent
        self._last_id = max(at_ms, self._last_id + 1)
        return Snapshot(
            snapshot_id=self._last_id,
            at_ms=at_ms,
            price_age_ms=self._oldest(received_ms, at_ms),
            ids=arranged.ids,
            contest=arranged.contest,
            equity=equity,
            invested=arranged.invested,
            unrealised=_paise(worth - arranged.cost),
            day_pnl=_paise(day_pnl),
            return_percent=gained * 100,
            rank=arranged.contests.ranks(gained),
            of=arranged.contests.of,
        )

    def _oldest(self, received_ms: Floats | None, at_ms: int) -> int | None:
        held = self._arrange().held
        if received_ms is None or not len(held):
            return None
        oldest = np.fmin.reduce(received_ms[held])
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
