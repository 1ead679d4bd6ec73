"""Which portfolio the pages show: the contest that the student switched to, else practice."""

from datetime import datetime
from typing import cast

from django.http import HttpRequest

from mockmarket.core import bus
from mockmarket.core.models import User
from portfolios import selectors, services
from portfolios.models import Portfolio

SESSION_KEY = "contest"


def user_of(request: HttpRequest) -> User:
    """The logged-in user of a page behind `login_required`."""
    return cast("User", request.user)


def portfolio_of(request: HttpRequest, *, at: datetime) -> Portfolio:
    """The portfolio shown to this session; found once a request.

    A contest that was left, or that ended in the archive, falls back to practice, which is
    opened on first use.
    """
    kept = cast("Portfolio | None", getattr(request, "_portfolio", None))
    if kept is not None:
        return kept
    if not request.headers.get("HX-Request"):
        # Read before the state that the page shows: what is committed meanwhile is replayed.
        request.stream_position = bus.position(user_of(request).pk)  # type: ignore[attr-defined]
    found = _find(request, at=at)
    request._portfolio = found  # type: ignore[attr-defined]
    return found


def summary_of(request: HttpRequest, *, at: datetime) -> selectors.Summary:
    """What that portfolio is worth, reckoned once a request for the page and its frame."""
    kept = cast("selectors.Summary | None", getattr(request, "_summary", None))
    if kept is None:
        kept = selectors.portfolio_summary(portfolio=portfolio_of(request, at=at), at=at)
        request._summary = kept  # type: ignore[attr-defined]
    return kept


def _find(request: HttpRequest, *, at: datetime) -> Portfolio:
    user = user_of(request)
    slug = request.session.get(SESSION_KEY)
    if isinstance(slug, str):
        try:
            return selectors.access_portfolio(user=user, contest=slug)
        except selectors.NoPortfolio:
            del request.session[SESSION_KEY]
    return services.ensure_practice(user=user, at=at)
