"""Why the portfolio stands where it stands: trips, costs, sectors, market against selection."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from mockmarket.core import clock
from mockmarket.core.formats import number
from portfolios import selectors as portfolios
from portfolios.current import portfolio_of, summary_of
from portfolios.performance import Performance
from trading import reports

CURVE_POINTS_MAX = 400  # more than a chart has columns for


@login_required
@require_GET
def performance(request: HttpRequest) -> HttpResponse:
    """What was won and lost, why, and what the same money would have made in the index."""
    at = clock.now()
    shown = portfolio_of(request, at=at)
    basis = reports.basis(portfolio=shown, at=at)
    report = reports.report(basis)
    review = report.review
    ahead = None
    if report.benchmark_equity is not None:
        ahead = report.equity - report.benchmark_equity
    context = {
        "portfolio": shown,
        "summary": summary_of(request, at=at),
        "report": report,
        "review": review,
        "curve": _curve(basis),
        "ahead": ahead,
        "behind": None if ahead is None else -ahead,
        "sectors": _sectors(review),
        "luck": portfolios.luck(portfolio=shown),
        "holding": _held(review.holding_hours),
        "winners": _held(review.winners_hours),
        "losers": _held(review.losers_hours),
    }
    return render(request, "trading/performance.html", context)


def _curve(basis: reports.Basis) -> dict[str, Any]:
    """Rupees by time, and the same cash in NIFTY 50, for static/js/lines.js."""
    points = reports.curve(basis)
    step = max(1, len(points) // CURVE_POINTS_MAX)
    kept = [*points[:-1:step], points[-1]]
    return {
        "percent": False,
        "lines": [
            {
                "name": _("You"),
                "points": [(p.taken_at.isoformat(), float(p.equity)) for p in kept],
            },
            {
                "name": _("Same money in NIFTY 50"),
                "points": [
                    (p.taken_at.isoformat(), float(p.benchmark))
                    for p in kept
                    if p.benchmark is not None
                ],
            },
        ],
    }


def _sectors(review: Performance) -> list[dict[str, Any]]:
    """Sectors with a bar, as long as its part of the largest."""
    largest = max((abs(part.pnl) for part in review.sectors), default=None)
    return [
        {
            "name": part.sector,
            "pnl": part.pnl,
            "trips": part.trips,
            "bar": round(abs(part.pnl) / largest * 100) if largest else 0,
        }
        for part in review.sectors
    ]


def _held(hours: float | None) -> str | None:
    """A time of holding as people say it; None is unknown."""
    if hours is None:
        return None
    if hours < 1:
        return _("%(count)s min") % {"count": number(hours * 60, places=0)}
    if hours < 48:
        return _("%(count)s h") % {"count": number(hours, places=1)}
    return _("%(count)s days") % {"count": number(hours / 24, places=1)}
