"""Equity over time: a point a minute kept for the session, one a close kept for ever."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from marketdata import selectors as market
from marketdata import sessions
from mockmarket.core.money import money
from portfolios.book import Snapshot
from portfolios.models import PortfolioSnapshot
from portfolios.rows import MARKET
from portfolios.valuation import PortfolioRow

BATCH = 1_000
BENCHMARK_KEY = "NSE_INDEX|Nifty 50"
_TRADING = frozenset({sessions.Phase.CONTINUOUS, sessions.Phase.CLOSING_AUCTION})


@dataclass(frozen=True, slots=True)
class Point:
    """Equity and cash of a portfolio at an instant, rupees."""

    portfolio_id: int
    taken_at: datetime
    equity: float
    cash: Decimal


def minute_points(
    *, snapshot: Snapshot, rows: Mapping[int, PortfolioRow], at: datetime
) -> list[Point]:
    """A point for each portfolio that has traded; the others are a flat line."""
    return [
        Point(portfolio_id=int(key), taken_at=at, equity=float(equity), cash=row.cash)
        for key, equity in zip(snapshot.ids, np.round(snapshot.equity, 2), strict=True)
        if (row := rows[int(key)]).fills
    ]


def store_minute(*, points: Sequence[Point], benchmark: float | None) -> int:
    """Write the points of one minute when the market trades; returns how many."""
    if not points:
        return 0
    phase = sessions.phase(market=MARKET, at=points[0].taken_at, calendar=market.calendar())
    if phase not in _TRADING:
        return 0
    return store(points=points, kind=PortfolioSnapshot.Kind.MINUTE, benchmark=benchmark)


def store(*, points: Sequence[Point], kind: str, benchmark: float | None) -> int:
    """Write points of one kind; what was written before stays as it was."""
    PortfolioSnapshot.objects.bulk_create(
        [
            PortfolioSnapshot(
                portfolio_id=point.portfolio_id,
                kind=kind,
                taken_at=point.taken_at,
                equity=money(str(round(point.equity, 2))),
                cash=point.cash,
                benchmark=benchmark,
            )
            for point in points
        ],
        batch_size=BATCH,
        ignore_conflicts=True,
    )
    return len(points)


def benchmark(*, at: datetime) -> float | None:
    """NIFTY 50 at its newest price; None where it has none."""
    quote = market.quote(BENCHMARK_KEY, at)
    return None if quote is None or quote.last_price is None else float(quote.last_price)
