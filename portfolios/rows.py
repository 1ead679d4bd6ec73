"""Reads portfolios and prices into the plain rows that valuation works on."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal

from django.db.models import Count, Sum

from marketdata import selectors as market
from marketdata import sessions
from marketdata.models import LastPrice
from mockmarket.core.clock import IST
from mockmarket.core.money import ZERO
from portfolios import contests
from portfolios.models import LedgerEntry, Portfolio, Position, Posting
from portfolios.valuation import Books, PortfolioRow, PositionRow, Price, Value, value_exact

MARKET = "NSE_EQ"  # whose session a portfolio's day is
# Ids in one statement: SQLite takes 32,766 parameters, PostgreSQL plans a long list slowly.
BATCH = 2_000


@dataclass(frozen=True, slots=True)
class Version:
    """What tells whether a portfolio as held differs from the database."""

    entry_seq: int
    cash: Decimal
    reserved: Decimal
    unsettled: Decimal
    state: str


@dataclass(slots=True)
class _Sums:
    realised: Decimal = ZERO
    charges: Decimal = ZERO
    paid_in: Decimal = ZERO
    dividends: Decimal = ZERO


def live_versions() -> dict[int, Version]:
    """Every portfolio that the engine values, by id: joined, in a contest that lives."""
    rows = Portfolio.objects.filter(left_at__isnull=True, contest__state__in=contests.LIVE)
    return {
        row[0]: Version(*row[1:])
        for row in rows.values_list(
            "id", "entry_seq", "cash", "reserved", "unsettled", "contest__state"
        )
    }


def portfolio_rows(*, ids: Collection[int], session_date: date) -> list[PortfolioRow]:
    """The portfolios of `ids` as booked now, ordered by id; one that has gone is left out.
    `session_date` says which bookings are the day's.

    Each portfolio is read before its positions: a fill that commits in between leaves an older
    version with newer positions, and that fill asks for its own reading.
    """
    ordered = sorted(set(ids))
    return [
        row
        for start in range(0, len(ordered), BATCH)
        for row in _batch(ordered[start : start + BATCH], session_date)
    ]


def portfolio_row(*, portfolio_id: int, at: datetime) -> PortfolioRow:
    """One portfolio as booked now, its day that of `at`."""
    [row] = portfolio_rows(ids=[portfolio_id], session_date=session_date(at=at))
    return row


def _batch(ids: list[int], session_date: date) -> Iterable[PortfolioRow]:
    portfolios = list(
        Portfolio.objects.select_related("contest", "user").filter(id__in=ids).order_by("id")
    )
    positions = _positions(ids)
    sums, fills = _sums(ids), fill_counts(ids=ids)
    booked = _booked(ids, session_date)
    minimum = {p.contest_id: contests.rules_of(p.contest).minimum_fills for p in portfolios}
    for portfolio in portfolios:
        total, filled = sums[portfolio.id], fills.get(portfolio.id, 0)
        yield PortfolioRow(
            id=portfolio.id,
            contest_id=portfolio.contest_id,
            contest=portfolio.contest.slug,
            user_id=portfolio.user_id,
            alias=portfolio.user.shown_name,
            version=portfolio.entry_seq,
            cash=portfolio.cash,
            reserved=portfolio.reserved,
            margin=portfolio.margin,
            paid_in=total.paid_in,
            realised=total.realised,
            charges=total.charges,
            dividends=total.dividends,
            fills=filled,
            ranked=portfolio.left_at is None and filled >= minimum[portfolio.contest_id],
            positions=tuple(positions[portfolio.id]),
            debt=portfolio.debt,
            unsettled=portfolio.unsettled,
            day_booked=booked.get(portfolio.id, ZERO),
        )


def books(*, portfolio_id: int, at: datetime) -> Books:
    """One portfolio as booked now, its day that of `at`, without what only its rank needs: every
    page asks for it."""
    cash, reserved, margin, debt, unsettled = Portfolio.objects.values_list(
        "cash", "reserved", "margin", "debt", "unsettled"
    ).get(id=portfolio_id)
    positions = _positions([portfolio_id])
    total = _sums([portfolio_id])[portfolio_id]
    booked = _booked([portfolio_id], session_date(at=at))
    return Books(
        cash=cash,
        reserved=reserved,
        margin=margin,
        paid_in=total.paid_in,
        realised=total.realised,
        charges=total.charges,
        dividends=total.dividends,
        positions=tuple(positions[portfolio_id]),
        debt=debt,
        unsettled=unsettled,
        day_booked=booked.get(portfolio_id, ZERO),
    )


def _positions(ids: list[int]) -> dict[int, list[PositionRow]]:
    """Open positions, and the flat ones that a session has left behind, in a fixed order."""
    rows: dict[int, list[PositionRow]] = defaultdict(list)
    found = (
        Position.objects.filter(portfolio_id__in=ids)
        .exclude(quantity=0, session_date__isnull=True)
        .order_by("portfolio_id", "instrument__symbol", "product")
        .values_list(
            "portfolio_id",
            "instrument__key",
            "instrument__symbol",
            "product",
            "quantity",
            "cost",
            "session_date",
            "day_quantity",
            "day_cost",
        )
    )
    for row in found:
        rows[row[0]].append(PositionRow(*row[1:]))
    return rows


def _sums(ids: list[int]) -> dict[int, _Sums]:
    sums: dict[int, _Sums] = defaultdict(_Sums)
    account = Posting.Account
    for portfolio_id, name, amount in (
        Posting.objects.filter(
            portfolio_id__in=ids,
            account__in=[account.CAPITAL, account.DIVIDENDS, account.REALISED, account.CHARGES],
        )
        .values_list("portfolio_id", "account")
        .annotate(total=Sum("amount"))
    ):
        total = sums[portfolio_id]
        if name == account.CAPITAL:
            total.paid_in = -amount
        elif name == account.DIVIDENDS:
            total.dividends = -amount
        elif name == account.REALISED:
            total.realised = -amount
        else:
            total.charges = amount
    return sums


def _booked(ids: list[int], session_date: date) -> dict[int, Decimal]:
    """Dividends less charges that the session has booked, by portfolio that has any."""
    moved = Posting.objects.filter(
        portfolio_id__in=ids,
        account__in=[Posting.Account.DIVIDENDS, Posting.Account.CHARGES],
        entry__occurred_at__gte=session_began(session_date),
    )
    sums = moved.values_list("portfolio_id").annotate(total=Sum("amount"))
    return {portfolio_id: -total for portfolio_id, total in sums}  # credits are negative


def fill_counts(*, ids: Collection[int], until: datetime | None = None) -> dict[int, int]:
    """How many fills were booked (until an instant), by portfolio that has any. At most BATCH
    ids."""
    found = LedgerEntry.objects.filter(portfolio_id__in=ids, kind=LedgerEntry.Kind.FILL)
    if until is not None:
        found = found.filter(occurred_at__lte=until)
    return dict(found.values_list("portfolio_id").annotate(count=Count("id")))


def session_began(session_date: date) -> datetime:
    """The midnight in India that begins a session: what is booked from then on is of its day,
    until the next session's."""
    return datetime.combine(session_date, time.min, IST)


def session_date(*, at: datetime) -> date:
    """The session that a portfolio's day belongs to at `at`."""
    return sessions.session_date(market=MARKET, at=at, calendar=market.calendar())


def prices(*, keys: Collection[str], at: datetime) -> dict[str, Price]:
    """Newest prices by instrument key, by the chain stream, cache, database."""
    if not keys:
        return {}
    return {
        key: Price(last=quote.last_price, previous_close=quote.previous_close)
        for key, quote in market.quotes(sorted(keys), at).items()
    }


def last_prices(*, keys: Collection[str]) -> dict[str, tuple[float, float]]:
    """Last price and previous close (NaN when unknown) that the database keeps, by key."""
    found = LastPrice.objects.filter(instrument__key__in=keys).values_list(
        "instrument__key", "last_price", "previous_close"
    )
    return {
        key: (float(last), math.nan if close is None else float(close))
        for key, last, close in found
    }


def exact_value(*, row: Books, at: datetime) -> Value:
    """One portfolio in exact arithmetic at the newest quotes."""
    keys = {position.instrument_key for position in row.positions}
    return value_exact(
        portfolio=row, prices=prices(keys=keys, at=at), session_date=session_date(at=at)
    )
