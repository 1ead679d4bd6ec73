"""Which portfolio the pages show: the contest that the student switched to, else practice."""

from datetime import datetime
from typing import cast

from django.http import HttpRequest

from mockmarket.core import bus
from mockmarket.core.models import User
from mockmarket.core.once import once
from portfolios import selectors, services
from portfolios.models import Contest, Portfolio

SESSION_KEY = "contest"


def user_of(request: HttpRequest) -> User:
    """The logged-in user of a page behind `login_required`."""
    return cast("User", request.user)


def portfolio_of(request: HttpRequest, *, at: datetime) -> Portfolio:
    """The portfolio shown to this session; found once a request.

    A contest that was left, or that ended in the archive, falls back to practice, which is
    opened on first use.
    """
    return once(request, "portfolio", lambda: _choose(request, at=at))


def summary_of(request: HttpRequest, *, at: datetime) -> selectors.Summary:
    """What that portfolio is worth, reckoned once a request for the page and its frame."""
    return once(
        request,
        "summary",
        lambda: selectors.portfolio_summary(portfolio=portfolio_of(request, at=at), at=at),
    )


def portfolios_of(request: HttpRequest) -> list[Portfolio]:
    """The user's portfolios, read once a request."""
    return once(request, "portfolios", lambda: selectors.portfolios_of(user=user_of(request)))


def contests_of(request: HttpRequest) -> list[Contest]:
    """What the user takes part in, practice first, then the newest."""
    return [
        one.contest for one in portfolios_of(request) if one.contest.state != Contest.State.ARCHIVED
    ]


def _choose(request: HttpRequest, *, at: datetime) -> Portfolio:
    if not request.headers.get("HX-Request"):
        # Read before the state that the page shows: what is committed meanwhile is replayed.
        request.stream_position = bus.position(user_of(request).pk)  # type: ignore[attr-defined]
    own = portfolios_of(request)
    if (slug := request.session.get(SESSION_KEY)) is not None:
        for portfolio in own:
            if portfolio.contest.slug == slug:
                return portfolio
        del request.session[SESSION_KEY]
    for portfolio in own:
        if portfolio.contest.is_practice:
            return portfolio
    return services.ensure_practice(user=user_of(request), at=at)
