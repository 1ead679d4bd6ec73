"""How a contest ended: the result frozen with its prices, its certificate, its export.

The result follows from the books and the closing prices alone, in exact arithmetic: `derive` is
run once at the end and again by whoever doubts it (`manage.py rebuild_result`).
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from django.db.models import F, QuerySet

from mockmarket.core.clock import to_ms
from mockmarket.core.errors import NotFound
from portfolios import booking, rows
from portfolios.models import Contest, ContestClosing, Portfolio, PortfolioMetrics, Result
from portfolios.snapshots import ContestSnapshot
from portfolios.tables import Cell
from portfolios.valuation import PortfolioRow, Price, return_percent, value_exact

_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 12  # 30**12: a certificate's code is not found by trying
CODE_LENGTH_MAX = 16  # what a form takes


class NoResult(NotFound):
    """No such certificate, or the contest has not ended."""

    code = "no_result"


@dataclass(frozen=True, slots=True)
class Placing:
    """One portfolio's result. Rupees and percent; `rank` None is too few fills for a rank."""

    portfolio_id: int
    rank: int | None
    of: int
    alias: str
    equity: Decimal
    paid_in: Decimal
    realised_pnl: Decimal
    charges: Decimal
    fills: int
    return_percent: Decimal


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the check link shows, and what the certificate says."""

    code: str
    alias: str
    contest: str
    starts_at: datetime
    ended_at: datetime
    rank: int | None
    of: int
    return_percent: Decimal
    equity: Decimal
    fills: int
    rules_hash: str


def derive(
    *, found: Sequence[PortfolioRow], prices: Mapping[str, Decimal], at: datetime
) -> list[Placing]:
    """Everybody's place from the books and the closing prices, best first.

    Ranked by the unrounded return; equal returns share a rank, the older portfolio is listed
    first, the unranked last.
    """
    closing = {key: Price(last=last, previous_close=None) for key, last in prices.items()}
    today = rows.session_date(at=at)
    equity = {
        row.id: value_exact(portfolio=row, prices=closing, session_date=today).equity
        for row in found
    }

    def gained(row: PortfolioRow) -> Decimal:
        return (equity[row.id] - row.paid_in) / row.paid_in if row.paid_in else Decimal(0)

    ranked = sorted((row for row in found if row.ranked), key=lambda row: (-gained(row), row.id))
    rank: dict[int, int] = {}
    for place, row in enumerate(ranked):
        tied = place > 0 and gained(ranked[place - 1]) == gained(row)
        rank[row.id] = rank[ranked[place - 1].id] if tied else place + 1
    unranked = sorted((row for row in found if not row.ranked), key=lambda row: row.id)
    return [
        Placing(
            portfolio_id=row.id,
            rank=rank.get(row.id),
            of=len(ranked),
            alias=row.alias,
            equity=equity[row.id],
            paid_in=row.paid_in,
            realised_pnl=row.realised + row.dividends,
            charges=row.charges,
            fills=row.fills,
            return_percent=return_percent(equity=equity[row.id], paid_in=row.paid_in),
        )
        for row in (*ranked, *unranked)
    ]


def freeze(*, contest: Contest, at: datetime) -> int:
    """Write the result of a contest that ends now; how many portfolios it ranks and lists.

    Inside the transaction that ends the contest: its portfolios are locked, so that a fill which
    commits later finds the contest ended.
    """
    booking.require_transaction()
    members = Portfolio.objects.filter(contest=contest, left_at__isnull=True)
    ids = list(members.order_by("id").values_list("id", flat=True))
    booking.lock_portfolios(ids=ids)
    found = rows.portfolio_rows(ids=ids, session_date=rows.session_date(at=at))
    prices = _last_prices(found, at=at)
    ContestClosing.objects.create(
        contest=contest,
        taken_at=at,
        prices={key: str(last) for key, last in sorted(prices.items())},
    )
    placings = derive(found=found, prices=prices, at=at)
    Result.objects.bulk_create(
        [
            Result(
                contest=contest,
                portfolio_id=placing.portfolio_id,
                rank=placing.rank,
                of=placing.of,
                alias=placing.alias,
                equity=placing.equity,
                paid_in=placing.paid_in,
                realised_pnl=placing.realised_pnl,
                charges=placing.charges,
                fills=placing.fills,
                return_percent=placing.return_percent,
                code="".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)),
            )
            for placing in placings
        ],
        batch_size=1_000,
    )
    return len(placings)


def results(*, contest: Contest) -> QuerySet[Result]:
    """The frozen result, best first, the unranked last."""
    return (
        Result.objects.filter(contest=contest)
        .select_related("portfolio__user")
        .order_by(F("rank").asc(nulls_last=True), "portfolio_id")
    )


def result_of(*, portfolio: Portfolio) -> Result:
    """A portfolio's own result. Raises NoResult while its contest goes on."""
    found = Result.objects.select_related("contest").filter(portfolio=portfolio).first()
    if found is None:
        raise NoResult("This contest has no result yet.")
    return found


def as_snapshot(*, contest: Contest) -> ContestSnapshot | None:
    """A frozen result as the boards take it: it stands still while prices go on. None before the
    end."""
    # Not its prices: there may be thousands, and the result has been derived from them.
    closing = ContestClosing.objects.filter(contest=contest).only("taken_at").first()
    if closing is None:
        return None
    found = list(Result.objects.filter(contest=contest).order_by("portfolio_id"))
    at_ms = to_ms(closing.taken_at)
    unknown = np.zeros(len(found))
    return ContestSnapshot(
        snapshot_id=at_ms,
        at_ms=at_ms,
        price_age_ms=None,
        of=max((row.of for row in found), default=0),
        ids=np.array([row.portfolio_id for row in found], np.int64),
        rank=np.array([row.rank or 0 for row in found], np.int64),
        equity=np.array([float(row.equity) for row in found]),
        invested=unknown,
        unrealised=unknown,
        day_pnl=unknown,
        return_percent=np.array([float(row.return_percent) for row in found]),
    )


def certificate(*, code: str) -> Certificate:
    """What a certificate with this code says; open to anybody who has the code.

    Raises NoResult.
    """
    found = (
        Result.objects.select_related("contest__closing")
        .defer("contest__closing__prices")
        .filter(code=code.strip().upper())
        .first()
    )
    if found is None:
        raise NoResult("There is no certificate with this code.")
    contest = found.contest
    return Certificate(
        code=found.code,
        alias=found.alias,
        contest=contest.name,
        starts_at=contest.starts_at,
        ended_at=contest.closing.taken_at,
        rank=found.rank,
        of=found.of,
        return_percent=found.return_percent,
        equity=found.equity,
        fills=found.fills,
        rules_hash=contest.rules_hash,
    )


EXPORT_HEADER = (
    "rank", "username", "name", "email", "alias", "equity", "paid_in", "return_percent",
    "realised_pnl", "charges", "fills", "sessions", "sharpe", "drawdown_percent", "win_rate",
    "consistency", "rank_low", "rank_high", "certificate",
)  # fmt: skip


def export_rows(*, contest: Contest, at: datetime) -> list[list[Cell]]:
    """A contest for grading, one row a student, in the order of EXPORT_HEADER: the frozen result
    where there is one, else as it stands at the newest prices."""
    frozen = {row.portfolio_id: row for row in Result.objects.filter(contest=contest)}
    if frozen:
        placings = [_placing(row) for row in frozen.values()]
    else:
        placings = _standing_now(contest=contest, at=at)
    placings.sort(key=lambda p: (p.rank is None, p.rank or 0, p.portfolio_id))
    people = {
        p.id: p.user for p in Portfolio.objects.filter(contest=contest).select_related("user")
    }
    kept = {m.portfolio_id: m for m in PortfolioMetrics.objects.filter(portfolio__contest=contest)}
    exported: list[list[Cell]] = []
    for placing in placings:
        user, metrics = people[placing.portfolio_id], kept.get(placing.portfolio_id)
        row = frozen.get(placing.portfolio_id)
        exported.append(
            [
                placing.rank,
                user.username,
                user.get_full_name(),
                user.email,
                placing.alias,
                placing.equity,
                placing.paid_in,
                placing.return_percent,
                placing.realised_pnl,
                placing.charges,
                placing.fills,
                metrics.sessions if metrics else 0,
                *(_rounded(getattr(metrics, name, None)) for name in EXPORT_HEADER[12:16]),
                metrics.rank_low if metrics else None,
                metrics.rank_high if metrics else None,
                row.code if row else None,
            ]
        )
    return exported


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _placing(row: Result) -> Placing:
    return Placing(
        portfolio_id=row.portfolio_id,
        rank=row.rank,
        of=row.of,
        alias=row.alias,
        equity=row.equity,
        paid_in=row.paid_in,
        realised_pnl=row.realised_pnl,
        charges=row.charges,
        fills=row.fills,
        return_percent=row.return_percent,
    )


def stored(*, contest: Contest) -> list[Placing]:
    """The frozen result as `derive` gives it, for comparison."""
    placings = [_placing(row) for row in Result.objects.filter(contest=contest)]
    return sorted(placings, key=lambda p: (p.rank is None, p.rank or 0, p.portfolio_id))


def _standing_now(*, contest: Contest, at: datetime) -> list[Placing]:
    members = Portfolio.objects.filter(contest=contest, left_at__isnull=True)
    found = rows.portfolio_rows(
        ids=members.values_list("id", flat=True), session_date=rows.session_date(at=at)
    )
    return derive(found=found, prices=_last_prices(found, at=at), at=at)


def _last_prices(found: Sequence[PortfolioRow], *, at: datetime) -> dict[str, Decimal]:
    """The newest price of everything that is held, where there is one."""
    keys = {p.instrument_key for row in found for p in row.positions if p.quantity}
    quotes = rows.prices(keys=keys, at=at)
    return {key: price.last for key, price in quotes.items() if price.last is not None}
