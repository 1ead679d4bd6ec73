"""Computes what the boards rank beside return, from the closes of a contest's sessions."""

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from django.db import transaction
from django.db.models import Count, Q

from mockmarket.core.clock import IST
from mockmarket.core.money import money
from portfolios import contests, history, metrics
from portfolios.models import (
    Contest,
    LedgerEntry,
    Portfolio,
    PortfolioMetrics,
    PortfolioSnapshot,
    Posting,
)
from portfolios.rows import BATCH, fill_counts

SESSIONS_MAX = 260  # closes that the ratios look back on


def compute_metrics(*, contest: Contest, at: datetime) -> int:
    """Sharpe ratio, drawdown, win rate, consistency and the luck of the rank for everybody in a
    contest; the number of portfolios."""
    ids = list(
        Portfolio.objects.filter(contest=contest, left_at__isnull=True)
        .order_by("id")
        .values_list("id", flat=True)
    )
    if not ids:
        return 0
    days, equity = _closes(contest=contest, ids=ids)
    returns = metrics.daily_returns(equity=equity, flows=_flows(ids=ids, days=days))
    low, high = _luck(contest=contest, ids=ids, returns=returns)
    week = _week_equity(days=days, equity=equity, start=contest.starting_cash, at=at)
    wins = _win_rates(ids)
    columns = {
        "sharpe": metrics.sharpe(returns),
        "drawdown_percent": metrics.drawdown_percent(returns),
        "consistency": metrics.consistency(returns),
    }
    found = [
        PortfolioMetrics(
            portfolio_id=portfolio_id,
            computed_at=at,
            sessions=int(np.count_nonzero(~np.isnan(returns[place]))),
            week_equity=week[place],
            win_rate=wins.get(portfolio_id),
            rank_low=int(low[place]) or None,
            rank_high=int(high[place]) or None,
            **{name: _known(float(values[place])) for name, values in columns.items()},
        )
        for place, portfolio_id in enumerate(ids)
    ]
    with transaction.atomic():
        PortfolioMetrics.objects.filter(portfolio__contest=contest).delete()
        PortfolioMetrics.objects.bulk_create(found, batch_size=history.BATCH)
    return len(found)


def _luck(
    *, contest: Contest, ids: Sequence[int], returns: metrics.Floats
) -> tuple[metrics.Ints, metrics.Ints]:
    """The interval of each rank among those who have one; zeros for the others."""
    minimum = contests.rules_of(contest).minimum_fills
    fills: dict[int, int] = {}
    for start in range(0, len(ids), BATCH):
        fills |= fill_counts(ids=ids[start : start + BATCH])
    ranked = np.array([fills.get(portfolio_id, 0) >= minimum for portfolio_id in ids], bool)
    low, high = np.zeros(len(ids), np.int64), np.zeros(len(ids), np.int64)
    low[ranked], high[ranked] = metrics.rank_interval(returns[ranked], seed=contest.id)
    return low, high


def _known(value: float) -> float | None:
    return None if np.isnan(value) else value


def _closes(*, contest: Contest, ids: Sequence[int]) -> tuple[list[datetime], metrics.Floats]:
    """The instants of the newest closes, and equity with one column more: before the first close
    of a portfolio stands what it began with, before that NaN."""
    closes = PortfolioSnapshot.objects.filter(
        portfolio__contest=contest, kind=PortfolioSnapshot.Kind.CLOSE
    )
    newest = closes.order_by("-taken_at").values_list("taken_at", flat=True).distinct()
    days = sorted(newest[:SESSIONS_MAX])
    column = {day: place + 1 for place, day in enumerate(days)}
    row = {portfolio_id: place for place, portfolio_id in enumerate(ids)}
    equity = np.full((len(ids), len(days) + 1), np.nan)
    found = closes.filter(taken_at__in=days).values_list("portfolio_id", "taken_at", "equity")
    for portfolio_id, taken_at, amount in found.iterator():
        if portfolio_id in row:
            equity[row[portfolio_id], column[taken_at]] = float(amount)
    first = np.argmax(~np.isnan(equity), axis=1)
    began = np.flatnonzero(first > 0)
    equity[began, first[began] - 1] = float(contest.starting_cash)
    return days, equity


def _flows(*, ids: Sequence[int], days: Sequence[datetime]) -> metrics.Floats:
    """Cash that staff paid in after the opening, by portfolio and session."""
    flows = np.zeros((len(ids), len(days)))
    row = {portfolio_id: place for place, portfolio_id in enumerate(ids)}
    for start in range(0, len(ids), BATCH):
        moved = Posting.objects.filter(
            portfolio_id__in=ids[start : start + BATCH], account=Posting.Account.CAPITAL
        ).exclude(entry__kind=LedgerEntry.Kind.OPENING)
        for portfolio_id, occurred_at, amount in moved.values_list(
            "portfolio_id", "entry__occurred_at", "amount"
        ):
            session = bisect_left(days, occurred_at)
            if session < len(days):
                flows[row[portfolio_id], session] -= float(amount)
    return flows


def _week_equity(
    *, days: Sequence[datetime], equity: metrics.Floats, start: Decimal, at: datetime
) -> list[Decimal]:
    """Equity at the last close before this week's Monday (India), else what it began with."""
    today = at.astimezone(IST).date()
    monday = today - timedelta(days=today.weekday())
    before = sum(1 for day in days if day.astimezone(IST).date() < monday)
    column = equity[:, before]
    return [start if np.isnan(value) else money(str(round(float(value), 2))) for value in column]


def _win_rates(ids: Sequence[int]) -> dict[int, float]:
    """Percent of the fills that realised something which realised a profit."""
    rates: dict[int, float] = {}
    for start in range(0, len(ids), BATCH):
        realised = (
            Posting.objects.filter(
                portfolio_id__in=ids[start : start + BATCH],
                account=Posting.Account.REALISED,
                entry__kind=LedgerEntry.Kind.FILL,
            )
            .values_list("portfolio_id")
            .annotate(closing=Count("id"), won=Count("id", filter=Q(amount__lt=0)))
        )
        rates |= {portfolio_id: won / closing * 100 for portfolio_id, closing, won in realised}
    return rates
