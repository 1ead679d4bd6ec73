"""Why a portfolio won or lost: trips, costs, sectors, market against selection, habits. Pure.

A trip is a FIFO lot from the fill that opened it to the one that closed it (or to the newest
price while open). FIFO and the average cost of the books divide the same total profit
differently over time; both are shown for what they are.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from mockmarket.core.money import ZERO, money

SHOWN = 5  # best and worst trips
# Below this many closed trips and as many open ones, a habit cannot be told from chance.
HABIT_TRIPS_MIN = 5


@dataclass(frozen=True, slots=True)
class Trip:
    """A FIFO lot. `quantity` signed (short negative); rupees. Open trips have the newest price
    as `exit_price` and no `closed_at`."""

    symbol: str
    instrument_key: str
    sector: str
    product: str
    quantity: int
    opened_at: datetime
    entry_price: Decimal
    exit_price: Decimal
    closed_at: datetime | None = None

    @property
    def pnl(self) -> Decimal:
        """Profit before charges."""
        return money((self.exit_price - self.entry_price) * self.quantity)

    @property
    def entry_value(self) -> Decimal:
        """Rupees at the entry, unsigned; of a future its full value."""
        return money(self.entry_price * abs(self.quantity))

    def held(self, *, at: datetime) -> timedelta:
        """How long it was or has been held."""
        return (self.closed_at or at) - self.opened_at


@dataclass(frozen=True, slots=True)
class SectorPart:
    """What one sector brought. Rupees before charges; `trips` open and closed."""

    sector: str
    pnl: Decimal
    trips: int


@dataclass(frozen=True, slots=True)
class Attribution:
    """Profit before charges = market + selection: what NIFTY 50 would have made over the same
    trips with the same money, and what the choice of shares added. Rupees."""

    market: Decimal
    selection: Decimal


@dataclass(frozen=True, slots=True)
class Habit:
    """The disposition effect after Odean (1998): the share of gains realised less the share of
    losses realised, percent points. Above zero, winners are sold sooner than losers."""

    gains_realised_percent: float
    losses_realised_percent: float
    effect: float


@dataclass(frozen=True, slots=True)
class Performance:
    """Everything the performance page says. Rupees, percent, hours; None is unknown."""

    fills: int
    turnover: Decimal
    charges: Decimal
    charges_percent: float | None  # of the turnover
    realised_fifo: Decimal
    unrealised_fifo: Decimal
    closed_trips: int
    open_trips: int
    win_rate: float | None
    holding_hours: float | None  # of closed trips, weighted by their value
    winners_hours: float | None
    losers_hours: float | None
    best: tuple[Trip, ...]
    worst: tuple[Trip, ...]
    sectors: tuple[SectorPart, ...]
    attribution: Attribution | None
    habit: Habit | None


@dataclass(frozen=True, slots=True)
class Flow:
    """Cash that came into the portfolio (negative: was taken out)."""

    at: datetime
    amount: Decimal


class Series:
    """Prices by time, oldest first; `at` is the newest at or before an instant."""

    def __init__(self, points: Iterable[tuple[datetime, float]]) -> None:
        ordered = sorted(points)
        self._times = [time for time, _ in ordered]
        self._prices = [price for _, price in ordered]

    def __len__(self) -> int:
        return len(self._times)

    def at(self, instant: datetime) -> float | None:
        """The price then; the first one known for an instant before all; None without any."""
        if not self._times:
            return None
        return self._prices[max(0, bisect_right(self._times, instant) - 1)]


def review(
    *,
    trips: Sequence[Trip],
    fills: int,
    turnover: Decimal,
    charges: Decimal,
    benchmark: Series,
    at: datetime,
) -> Performance:
    """What `trips` (open and closed) say of whoever made them."""
    closed = [trip for trip in trips if trip.closed_at is not None]
    still_open = [trip for trip in trips if trip.closed_at is None]
    winners = [trip for trip in closed if trip.pnl > 0]
    losers = [trip for trip in closed if trip.pnl < 0]
    ranked = sorted(closed, key=lambda trip: (trip.pnl, trip.opened_at), reverse=True)
    return Performance(
        fills=fills,
        turnover=turnover,
        charges=charges,
        charges_percent=float(charges / turnover * 100) if turnover else None,
        realised_fifo=sum((trip.pnl for trip in closed), ZERO),
        unrealised_fifo=sum((trip.pnl for trip in still_open), ZERO),
        closed_trips=len(closed),
        open_trips=len(still_open),
        win_rate=len(winners) / len(closed) * 100 if closed else None,
        holding_hours=_hours(closed, at=at),
        winners_hours=_hours(winners, at=at),
        losers_hours=_hours(losers, at=at),
        best=tuple(trip for trip in ranked if trip.pnl > 0)[:SHOWN],
        worst=tuple(trip for trip in reversed(ranked) if trip.pnl < 0)[:SHOWN],
        sectors=_sectors(trips),
        attribution=_attribution(trips, benchmark=benchmark, at=at),
        habit=_habit(closed=closed, still_open=still_open),
    )


def _hours(trips: Sequence[Trip], *, at: datetime) -> float | None:
    weight = sum(float(trip.entry_value) for trip in trips)
    if not weight:
        return None
    held = sum(float(trip.entry_value) * trip.held(at=at).total_seconds() for trip in trips)
    return held / weight / 3600


def _sectors(trips: Sequence[Trip]) -> tuple[SectorPart, ...]:
    pnl: dict[str, Decimal] = defaultdict(lambda: ZERO)
    count: dict[str, int] = defaultdict(int)
    for trip in trips:
        name = trip.sector or "Other"
        pnl[name] += trip.pnl
        count[name] += 1
    parts = (SectorPart(sector=name, pnl=pnl[name], trips=count[name]) for name in pnl)
    return tuple(sorted(parts, key=lambda part: (-part.pnl, part.sector)))


def _attribution(trips: Sequence[Trip], *, benchmark: Series, at: datetime) -> Attribution | None:
    """Market and selection; None without the benchmark's prices. They add up to the profit."""
    if not len(benchmark) or not trips:
        return None
    market, total = ZERO, ZERO
    for trip in trips:
        start, end = benchmark.at(trip.opened_at), benchmark.at(trip.closed_at or at)
        total += trip.pnl
        if start and end:
            moved = Decimal(str(end)) / Decimal(str(start)) - 1
            market += money(trip.entry_price * trip.quantity * moved)
    return Attribution(market=market, selection=total - market)


def _habit(*, closed: Sequence[Trip], still_open: Sequence[Trip]) -> Habit | None:
    if len(closed) < HABIT_TRIPS_MIN or len(still_open) < HABIT_TRIPS_MIN:
        return None

    def realised(good: Callable[[Trip], bool]) -> float | None:
        done = sum(1 for trip in closed if good(trip))
        paper = sum(1 for trip in still_open if good(trip))
        return done / (done + paper) * 100 if done + paper else None

    gains, losses = realised(lambda t: t.pnl > 0), realised(lambda t: t.pnl < 0)
    if gains is None or losses is None:
        return None
    return Habit(
        gains_realised_percent=gains, losses_realised_percent=losses, effect=gains - losses
    )


def same_money(*, flows: Sequence[Flow], benchmark: Series, at: datetime) -> Decimal | None:
    """What the same cash, put into the benchmark when it came, would be worth at `at`; None
    without the benchmark's prices."""
    end = benchmark.at(at)
    if end is None or not flows:
        return None
    worth = ZERO
    for flow in flows:
        start = benchmark.at(flow.at)
        if not start:
            return None
        worth += money(flow.amount * Decimal(str(end)) / Decimal(str(start)))
    return worth
