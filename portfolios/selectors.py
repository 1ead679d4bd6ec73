"""Reads for pages, the API and the other apps: who may see which portfolio, and what it is worth.

A summary is Decimal arithmetic over the books and the newest quotes, at the instant of asking;
rank and leaderboard come from the engine's newest snapshot, in which everybody stands at the same
prices, or from a valuation of the contest made here when the engine is silent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from django.db.models import Count, Q, QuerySet

from mockmarket.core.errors import NotFound
from mockmarket.core.models import User
from portfolios import contests, rows, snapshots
from portfolios.models import (
    Contest,
    LedgerEntry,
    Portfolio,
    PortfolioMetrics,
    PortfolioSnapshot,
    Position,
    Result,
)
from portfolios.valuation import (
    PositionRow,
    PositionValue,
    Price,
    value_position,
)

_PRESENT = Q(portfolios__left_at__isnull=True)
# Of contests: how many take part now.
MEMBERS = Count("portfolios", filter=_PRESENT)


class NoPortfolio(NotFound):
    """The user has no portfolio there, or may not see it."""

    code = "no_portfolio"


@dataclass(frozen=True, slots=True)
class Summary:
    """A portfolio as its owner sees it. Rupees and percent; `rank` None is not ranked."""

    portfolio_id: int
    contest: str
    contest_name: str
    state: str
    as_of: datetime
    snapshot_id: int | None
    cash: Decimal
    reserved: Decimal
    buying_power: Decimal
    invested: Decimal
    equity: Decimal
    day_pnl: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    charges: Decimal
    return_percent: Decimal
    rank: int | None
    of: int
    positions: tuple[PositionValue, ...]


@dataclass(frozen=True, slots=True)
class PositionView:
    """A position with its instrument, its mark and its history. Rupees."""

    id: int
    instrument_key: str
    symbol: str
    name: str
    sector: str
    product: str
    quantity: int
    settled_quantity: int
    average_price: Decimal
    last_price: Decimal
    cost: Decimal
    value: Decimal
    unrealised_pnl: Decimal
    day_pnl: Decimal
    realised_pnl: Decimal
    charges: Decimal
    opened_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Equity in rupees at an instant, with NIFTY 50 at the same instant where known."""

    taken_at: datetime
    equity: Decimal
    benchmark: float | None
    kind: str


# --- Who may see what -------------------------------------------------------------------
def access_portfolio(*, user: User, contest: str | int | None = None) -> Portfolio:
    """The user's own portfolio in a contest (slug or id); None is the practice contest.

    The one guard of pages, API and stream. Raises NoPortfolio, alike for a contest that does not
    exist, one that the user has not joined and one that they have left.
    """
    owned = (
        Portfolio.objects.select_related("contest", "user")
        .filter(user_id=user.pk, left_at__isnull=True)
        .exclude(contest__state=Contest.State.DRAFT)
    )
    if contest is None:
        found = owned.order_by("-contest__is_practice", "-joined_at", "id").first()
    elif isinstance(contest, int) or _is_id(contest):
        found = owned.filter(contest_id=int(contest)).first()
    else:
        found = owned.filter(contest__slug=contest).first()
    if found is None:
        raise NoPortfolio("You have no portfolio in this contest.")
    return found


def _is_id(text: str) -> bool:
    # Eighteen digits fit the column of ids; a longer number is nobody's and overflows SQLite.
    return text.isdecimal() and len(text) <= 18


def access_contest(*, user: User, contest: str | int) -> Contest:
    """A contest that the user may look at: one that they joined, or any that is not a draft.

    Raises NotFound. Staff see drafts too.
    """
    named = Q(id=int(contest)) if _is_id(str(contest)) else Q(slug=str(contest))
    found = Contest.objects.filter(named).first()
    if found is None or (found.state == Contest.State.DRAFT and not user.is_staff):
        raise NotFound("There is no such contest.")
    return found


def contests_of(*, user: User) -> QuerySet[Contest]:
    """Contests that the user has joined and not left, practice first, then the newest."""
    return (
        Contest.objects.filter(portfolios__user_id=user.pk, portfolios__left_at__isnull=True)
        .exclude(state__in=[Contest.State.DRAFT, Contest.State.ARCHIVED])
        .order_by("-is_practice", "-starts_at", "id")
    )


def portfolios_of(*, user: User) -> list[Portfolio]:
    """The user's portfolios with their contests, practice first, then the newest: what
    `access_portfolio` lets them see, read at once."""
    found = list(
        Portfolio.objects.select_related("contest")
        .filter(user_id=user.pk, left_at__isnull=True)
        .exclude(contest__state=Contest.State.DRAFT)
        .order_by("-contest__is_practice", "-contest__starts_at", "contest_id")
    )
    for portfolio in found:
        portfolio.user = user
    return found


def contests_listed(*, user: User) -> QuerySet[Contest]:
    """Every contest that is not a draft, with `members` and `joined` (by this user) counted."""
    return (
        Contest.objects.exclude(state=Contest.State.DRAFT)
        .annotate(
            members=MEMBERS,
            joined=Count("portfolios", filter=_PRESENT & Q(portfolios__user_id=user.pk)),
        )
        .order_by("-is_practice", "-starts_at", "id")
    )


# --- Worth ------------------------------------------------------------------------------
def portfolio_summary(*, portfolio: Portfolio, at: datetime) -> Summary:
    """What the portfolio is worth now, with its open positions and its rank."""
    row = rows.books(portfolio_id=portfolio.id, at=at)
    value = rows.exact_value(row=row, at=at)
    part = snapshots.newest(contest_id=portfolio.contest_id, at=at)
    place = part.place(portfolio.id) if part is not None else None
    rank = int(part.rank[place]) or None if part is not None and place is not None else None
    of = part.of if part is not None else 0
    if portfolio.contest.state in contests.ENDED:
        ended = Result.objects.filter(portfolio=portfolio).first()
        rank, of = (ended.rank, ended.of) if ended is not None else (None, 0)
    return Summary(
        portfolio_id=portfolio.id,
        contest=portfolio.contest.slug,
        contest_name=portfolio.contest.name,
        state=portfolio.contest.state,
        as_of=at,
        snapshot_id=part.snapshot_id if part is not None else None,
        cash=value.cash,
        reserved=value.reserved,
        buying_power=row.buying_power,
        invested=value.invested,
        equity=value.equity,
        day_pnl=value.day_pnl,
        realised_pnl=value.realised_pnl,
        unrealised_pnl=value.unrealised_pnl,
        charges=value.charges,
        return_percent=value.return_percent,
        rank=rank,
        of=of,
        positions=tuple(p for p in value.positions if p.quantity),
    )


def luck(*, portfolio: Portfolio) -> tuple[int, int] | None:
    """The best and worst rank in nine of ten draws of the same sessions; None while there are too
    few of them."""
    kept = PortfolioMetrics.objects.filter(portfolio=portfolio).first()
    if kept is None or kept.rank_low is None or kept.rank_high is None:
        return None
    return kept.rank_low, kept.rank_high


def positions(*, portfolio: Portfolio, at: datetime) -> tuple[PositionView, ...]:
    """Open positions and those that this session closed, by symbol."""
    return _views(open_positions(portfolio=portfolio, at=at), at=at)


def holdings(*, portfolio: Portfolio, at: datetime) -> tuple[PositionView, ...]:
    """Delivery positions, settled or on their way (compare the two quantities), by symbol."""
    found = Position.objects.filter(
        portfolio=portfolio, product=Position.Product.CNC, quantity__gt=0
    )
    return _views(found, at=at)


def _views(found: QuerySet[Position], *, at: datetime) -> tuple[PositionView, ...]:
    ordered = found.select_related("instrument").order_by("instrument__symbol", "product")
    return position_views(positions=list(ordered), at=at)


def position_views(*, positions: Sequence[Position], at: datetime) -> tuple[PositionView, ...]:
    """Positions already read with their instruments, at the newest quotes: for one page of a
    paginated list."""
    today = rows.session_date(at=at)
    quotes = rows.prices(keys={p.instrument.key for p in positions}, at=at)
    return tuple(
        _view(p, price=quotes.get(p.instrument.key), session_date=today) for p in positions
    )


def _view(position: Position, *, price: Price | None, session_date: date) -> PositionView:
    instrument = position.instrument
    valued = value_position(
        position=PositionRow(
            instrument_key=instrument.key,
            symbol=instrument.symbol,
            product=position.product,
            quantity=position.quantity,
            cost=position.cost,
            session_date=position.session_date,
            day_quantity=position.day_quantity,
            day_cost=position.day_cost,
        ),
        price=price,
        session_date=session_date,
    )
    return PositionView(
        id=position.id,
        instrument_key=instrument.key,
        symbol=instrument.symbol,
        name=instrument.name,
        sector=instrument.sector,
        product=position.product,
        quantity=position.quantity,
        settled_quantity=position.settled_quantity,
        average_price=valued.average_price,
        last_price=valued.last_price,
        cost=position.cost,
        value=valued.value,
        unrealised_pnl=valued.unrealised_pnl,
        day_pnl=valued.day_pnl,
        realised_pnl=position.realised_pnl,
        charges=position.charges,
        opened_at=position.opened_at,
        updated_at=position.updated_at,
    )


def open_positions(*, portfolio: Portfolio, at: datetime) -> QuerySet[Position]:
    """The rows behind `positions`, for pagination: open, or closed in this session."""
    return (
        Position.objects.select_related("instrument")
        .filter(portfolio=portfolio)
        .filter(~Q(quantity=0) | Q(session_date=rows.session_date(at=at)))
    )


def closed_positions(*, portfolio: Portfolio) -> QuerySet[Position]:
    """What was held and is no longer, with what it won or lost; the newest first."""
    return (
        Position.objects.select_related("instrument")
        .filter(portfolio=portfolio, quantity=0)
        .order_by("-updated_at", "-pk")
    )


# --- Books and history ------------------------------------------------------------------
def ledger(*, portfolio: Portfolio) -> QuerySet[LedgerEntry]:
    """Ledger entries with their postings, newest first."""
    return (
        LedgerEntry.objects.filter(portfolio=portfolio)
        .prefetch_related("postings")
        .order_by("-seq")
    )


def equity_curve(*, portfolio: Portfolio, since: datetime | None = None) -> list[CurvePoint]:
    """Equity by time, oldest first: each close kept for ever and the newest day's minutes."""
    found = PortfolioSnapshot.objects.filter(portfolio=portfolio)
    if since is not None:
        found = found.filter(taken_at__gte=since)
    return [
        CurvePoint(*point)
        for point in found.order_by("taken_at", "kind").values_list(
            "taken_at", "equity", "benchmark", "kind"
        )
    ]
