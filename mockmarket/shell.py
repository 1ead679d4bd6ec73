"""What the frame around every page shows; each part is worked out only when it is drawn.

Outside the apps, because it draws on market and portfolios alike.
"""

from datetime import date, datetime
from functools import cache, cached_property, lru_cache
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from marketdata import listing, recording, sessions, watchlists
from marketdata import selectors as market
from marketdata.listing import Row
from marketdata.models import Watchlist
from marketdata.views.lists import own_lists
from mockmarket.core import bus, clock, documentation, words
from mockmarket.core.boost import is_boosted
from portfolios.current import contests_of, portfolio_of, summary_of, user_of
from portfolios.models import Contest, Portfolio
from portfolios.selectors import Summary

DEFAULT_WATCH = 20
# What navigation lists: an address or name, its label, and in entries an icon.
Labels = tuple[tuple[str, str], ...]
Entries = tuple[tuple[str, str, str], ...]
THEMES = {"SYSTEM": "system", "LIGHT": "light", "DARK": "dark"}


def context(request: HttpRequest) -> dict[str, Any]:
    """The template variables `desk` and `layout`. The desk is not for strangers."""
    desk = Desk(request)
    whole = "shell.html" if desk.known else "bare.html"
    return {"desk": desk, "layout": "partial.html" if is_boosted(request) else whole}


class Desk:
    """Lazy parts of the shell for one request."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def at(self) -> datetime:
        return clock.now()

    @cached_property
    def known(self) -> bool:
        user = getattr(self.request, "user", None)
        return bool(user and user.is_authenticated)

    @cached_property
    def stream(self) -> tuple[str, int] | None:
        """Epoch and number of the newest private event that this page already shows."""
        if not self.known:
            return None
        kept: tuple[str, int] | None = getattr(self.request, "stream_position", None)
        return kept or bus.position(user_of(self.request).pk)

    # --- Looks --------------------------------------------------------------------------
    @cached_property
    def theme(self) -> str:
        return THEMES[user_of(self.request).theme] if self.known else "system"

    @cached_property
    def palette(self) -> str:
        return "distinct" if self.known and user_of(self.request).colour_blind else "classic"

    @property
    def themes(self) -> Entries:
        return _themes(get_language())

    @property
    def docs(self) -> str:
        """Where the documentation begins; empty where it has not been built."""
        return documentation.PREFIX if settings.DOCUMENTATION else ""

    @property
    def words_url(self) -> str:
        """The modules' texts, where the page's language is not the source's."""
        return words.url()

    # --- Places -------------------------------------------------------------------------
    @cached_property
    def tabs(self) -> Labels:
        """Paths and labels of the page tabs."""
        return _tabs(get_language())

    @property
    def more(self) -> Entries:
        """Paths, labels and icons of what stands behind "More"."""
        return _more(get_language())

    @property
    def bottom(self) -> Entries:
        """The phone's five places."""
        slug = self.portfolio.contest.slug if self.portfolio else ""
        return _bottom(get_language(), slug)

    @property
    def current(self) -> str:
        """The tab that the address belongs to."""
        path = self.request.path
        return next((tab for tab, _label in self.tabs[1:] if path.startswith(tab)), path)

    # --- Market -------------------------------------------------------------------------
    @cached_property
    def status(self) -> dict[str, Any]:
        return market.market_status(at=self.at)

    @property
    def status_word(self) -> str:
        return {
            "live": _("Live"),
            "delayed": _("Delayed"),
            "closed": pgettext("market", "Closed"),
            "disconnected": _("No feed"),
        }[self.status["status"]]

    @cached_property
    def indices(self) -> list[Row]:
        return listing.listed(market.indices(self.at))

    @cached_property
    def closes_at(self) -> datetime | None:
        """When the session that runs now closes; None when none runs or it has no end."""
        calendar = market.calendar()
        if calendar.always_open:
            return None
        phase = sessions.phase(market="NSE_EQ", at=self.at, calendar=calendar)
        if phase is sessions.Phase.CLOSED:
            return None
        day = sessions.session_date(market="NSE_EQ", at=self.at, calendar=calendar)
        close = sessions.final_close(market="NSE_EQ", day=day, calendar=calendar)
        return close if close and close > self.at else None

    @cached_property
    def opens_at(self) -> datetime | None:
        opens = self.status.get("next_open")
        if isinstance(opens, str):
            return datetime.fromisoformat(opens)
        return opens if isinstance(opens, datetime) else None

    @property
    def clock_note(self) -> str:
        return _("always open") if market.calendar().always_open else ""

    @property
    def source_word(self) -> str:
        return {
            "simulated": _("Simulated market"),
            "replay": _("Replayed market"),
            "upstox": "",
        }[settings.MARKET_SOURCE]

    @property
    def source_sentence(self) -> str:
        return {
            "simulated": _("Prices come from a simulated exchange; they are not the market’s."),
            "replay": _replay_sentence(),
            "upstox": _("Prices from the exchange by way of Upstox."),
        }[settings.MARKET_SOURCE]

    # --- Own ----------------------------------------------------------------------------
    @cached_property
    def portfolio(self) -> Portfolio | None:
        return portfolio_of(self.request, at=self.at) if self.known else None

    @cached_property
    def summary(self) -> Summary | None:
        if self.portfolio is None:
            return None
        return summary_of(self.request, at=self.at)

    @cached_property
    def contests(self) -> list[Contest]:
        """What the user takes part in, for the contest switcher."""
        return contests_of(self.request) if self.known else []

    @cached_property
    def watchlists(self) -> list[Watchlist]:
        return own_lists(self.request) if self.known else []

    @cached_property
    def watchlist(self) -> Watchlist | dict[str, str] | None:
        chosen = self.request.session.get("watchlist")
        own = next((one for one in self.watchlists if one.pk == chosen), None)
        return own or next(iter(self.watchlists), {"name": _("NIFTY 50, the heaviest")})

    @cached_property
    def watch_rows(self) -> list[Row]:
        """The shown list; for a newcomer the heaviest of the NIFTY 50."""
        if isinstance(self.watchlist, Watchlist):
            return listing.rows(watchlists.facts(watchlist=self.watchlist), at=self.at)
        return listing.heaviest(index_key="NSE_INDEX|Nifty 50", limit=DEFAULT_WATCH, at=self.at)

    @property
    def order_words(self) -> Labels:
        """Order states in the page's language, for the browser."""
        return _order_words(get_language())


# --- The same for everybody who reads one language ----------------------------------------
@cache
def _themes(_language: str | None) -> Entries:
    return (
        ("system", _("As the device"), "monitor"),
        ("light", _("Light"), "sun"),
        ("dark", _("Dark"), "moon"),
    )


@cache
def _tabs(_language: str | None) -> Labels:
    return (
        (reverse("dashboard"), _("Dashboard")),
        (reverse("market"), _("Market")),
        (reverse("movers"), _("Movers")),
        (reverse("sectors"), _("Sectors")),
        (reverse("options_home"), _("Options")),
        (reverse("portfolio"), _("Portfolio")),
        (reverse("orders"), _("Orders")),
        (reverse("funds"), _("Funds")),
        (reverse("contests"), _("Contests")),
        (reverse("recommendations"), _("Screen")),
        (reverse("news"), _("News")),
    )


@cache
def _more(_language: str | None) -> Entries:
    return (
        (reverse("watchlists"), _("Watchlists"), "eye"),
        (reverse("alerts"), _("Alerts"), "bell"),
        (reverse("compare"), _("Compare"), "scale"),
        (reverse("sentiment"), _("Sentiment"), "gauge"),
        (reverse("learn"), _("Learn"), "book-open"),
    )


@lru_cache(maxsize=1024)
def _bottom(_language: str | None, contest: str) -> Entries:
    """Ranks lead to the leaderboard of the contest with this slug, if there is one."""
    ranks = reverse("leaderboard", args=[contest]) if contest else reverse("contests")
    return (
        (reverse("dashboard"), _("Home"), "house"),
        (reverse("watchlists"), _("Watch"), "eye"),
        (reverse("orders"), _("Orders"), "clock"),
        (reverse("portfolio"), _("Portfolio"), "briefcase"),
        (ranks, _("Ranks"), "trophy"),
    )


@cache
def _order_words(_language: str | None) -> Labels:
    return (
        ("-queued", _("Queued for the next session")),
        ("-open", _("Open")),
        ("-trigger_pending", _("Waiting for its trigger")),
        ("-waiting_fresh_quote", _("Waiting for a fresh price")),
        ("-partially_filled", _("Partly filled")),
        ("-filled", _("Filled")),
        ("-cancelled", _("Cancelled")),
        ("-rejected", _("Rejected")),
        ("-expired", _("Expired")),
    )


@cache
def _replay_day() -> date | None:
    return recording.day_of(settings.MARKET_REPLAY_DIR)


def _replay_sentence() -> str:
    """A replay says how old its prices are, where the recording's name tells."""
    day = _replay_day()
    if day is None:
        return _("Prices are a recorded day, played again; they are not current.")
    said = {"day": date_format(day, "j M Y")}
    return _("Prices of %(day)s, played again; they are not current.") % said
