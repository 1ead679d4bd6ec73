"""Pages of the market: the list, search, movers, watchlists."""

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from marketdata import listing, selectors, watchlists
from marketdata.listing import BLANK, Filters
from marketdata.models import Watchlist
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.formats import number
from mockmarket.core.models import User
from mockmarket.core.once import once
from mockmarket.core.refusals import said

FIRST_ROWS = 60  # rendered by the server; the browser windows the rest
FOUND_MAX = 12
MOVERS = ("gainers", "losers", "active_value")


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@login_required
@require_GET
def market(request: HttpRequest) -> HttpResponse:
    """The market list."""
    filters = Filters.parse(request.GET)
    found = listing.market(filters=filters)
    facts = [light.facts for light in found[:FIRST_ROWS]]
    context = {
        "rows": listing.rows(facts, at=clock.now()),
        "blank": BLANK,
        "total": number(len(found), places=0),
        "filters": {"q": filters.q, "index": filters.index, "sector": filters.sector,
                    "min": request.GET.get("min", ""), "max": request.GET.get("max", "")},
        "index_choices": [listing.row(facts, None) for facts in selectors.indices_with_members()],
        "sectors": listing.sectors(),
        "columns": [
            ("change", _("Change in rupees")),
            ("low", _("Day’s low")),
            ("high", _("Day’s high")),
            ("volume", _("Volume")),
            ("sector", _("Sector")),
            ("name", _("Company")),
        ],
    }  # fmt: skip
    return render(request, "marketdata/market.html", context)


@login_required
@require_GET
def market_rows(request: HttpRequest) -> JsonResponse:
    """Every row of the filtered list, light, for the browser to sort and window."""
    found = listing.market(filters=Filters.parse(request.GET))
    return JsonResponse({"rows": [light.as_list() for light in found]})


@login_required
@require_GET
def search(request: HttpRequest) -> HttpResponse:
    """What the search box found, as list items."""
    query = request.GET.get("q", "").strip()[:60]
    found = list(selectors.instruments(search=query)[:FOUND_MAX]) if query else []
    found = [one for one in found if one.segment.endswith(("_EQ", "_INDEX"))]
    context = {"query": query, "rows": listing.rows(found, at=clock.now())}
    return render(request, "marketdata/search_results.html", context)


def movers_context(kind: str) -> dict[str, Any]:
    """The template variables of the movers' box; an unknown kind shows the gainers."""
    kind = kind if kind in MOVERS else MOVERS[0]
    return {
        "mover_tab": kind,
        "mover_tabs": [
            ("gainers", _("Gainers")),
            ("losers", _("Losers")),
            ("active_value", _("Most active")),
        ],
        "movers": listing.listed(selectors.movers(kind=kind, at=clock.now(), limit=5)),  # type: ignore[arg-type]
    }


@login_required
@require_GET
def movers_box(request: HttpRequest) -> HttpResponse:
    """Five movers, refreshed while the dashboard is open."""
    return render(request, "marketdata/movers_box.html", movers_context(request.GET.get("tab", "")))


def breadth_context() -> dict[str, Any]:
    """The template variables of the breadth bar."""
    found = selectors.breadth()
    total = max(1, found.advances + found.declines + found.unchanged)
    up, flat = 100 * found.advances / total, 100 * found.unchanged / total
    return {
        "breadth": {
            "advances": found.advances,
            "declines": found.declines,
            "unchanged": found.unchanged,
            "up_share": f"{up:.2f}",
            "flat_share": f"{flat:.2f}",
            "down_start": f"{up + flat:.2f}",
            "down_share": f"{max(0.0, 100 - up - flat):.2f}",
        }
    }


@login_required
@require_GET
def breadth_box(request: HttpRequest) -> HttpResponse:
    """How many shares rose and fell, refreshed while the dashboard is open."""
    return render(request, "marketdata/breadth_box.html", breadth_context())


# --- Watchlists -------------------------------------------------------------------------
@login_required
def watchlists_page(request: HttpRequest) -> HttpResponse:
    """All lists, side by side to manage, one shown whole."""
    error = ""
    if request.method == "POST":
        try:
            made = watchlists.create(user=_user(request), name=request.POST.get("name", ""))
            request.session["watchlist"] = made.pk
            return redirect("watchlists")
        except DomainError as refusal:
            error = said(refusal.message)
    own = watchlists.lists(user=_user(request))
    shown = _chosen(request, own)
    context = {
        "lists": own,
        "shown": shown,
        "rows": listing.rows(watchlists.facts(watchlist=shown), at=clock.now()) if shown else [],
        "used": sum(getattr(one, "size", 0) for one in own),
        "most": watchlists.INSTRUMENTS_MAX,
        "may_add": len(own) < watchlists.LISTS_MAX,
        "error": error,
    }
    return render(request, "marketdata/watchlists.html", context, status=400 if error else 200)


def own_lists(request: HttpRequest) -> list[Watchlist]:
    """The user's lists for a page that only shows them, read once a request."""
    return once(request, "watchlists", lambda: watchlists.lists(user=_user(request)))


def _chosen(request: HttpRequest, own: list[Watchlist]) -> Watchlist | None:
    wanted = request.GET.get("list", "")
    chosen = int(wanted) if wanted.isdecimal() else request.session.get("watchlist")
    shown = next((one for one in own if one.pk == chosen), own[0] if own else None)
    if shown is not None and wanted:
        request.session["watchlist"] = shown.pk
    return shown


@login_required
@require_GET
def watch_panel(request: HttpRequest) -> HttpResponse:
    """The panel beside every page, after a change or another tab."""
    _chosen(request, watchlists.lists(user=_user(request)))
    return render(request, "components/watch_panel_box.html")


def _changed() -> HttpResponse:
    response = HttpResponse(status=204)
    response["HX-Trigger"] = "watchlist-changed"
    return response


@login_required
@require_POST
def watchlist_add(request: HttpRequest) -> HttpResponse:
    """Puts an instrument on the shown list, or on the one named."""
    user = _user(request)
    wanted = request.POST.get("list", "") or str(request.session.get("watchlist", ""))
    target = next((x for x in watchlists.lists(user=user) if str(x.pk) == wanted), None)
    try:
        watchlists.add(
            user=user,
            instrument=selectors.instrument(request.POST.get("instrument", "")),
            watchlist=target,
        )
    except watchlists.WatchlistFull as refusal:
        return _refused(refusal)
    return _changed()


def _refused(refusal: DomainError) -> HttpResponse:
    """Nothing is swapped; the browser shows the message as a toast."""
    response = JsonResponse({"message": said(refusal.message)}, status=refusal.status)
    response["HX-Reswap"] = "none"
    response["HX-Trigger"] = (
        '{"desk:refused": ' + JsonResponse(said(refusal.message), safe=False).content.decode() + "}"
    )
    return response


@login_required
@require_POST
def watchlist_remove(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    own = watchlists.access(user=_user(request), watchlist_id=watchlist_id)
    watchlists.remove(watchlist=own, instrument_key=request.POST.get("instrument", ""))
    return _changed()


@login_required
@require_POST
def watchlist_order(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    """Keeps the order that the list was dragged into."""
    own = watchlists.access(user=_user(request), watchlist_id=watchlist_id)
    keys = request.POST.get("order", "").split(",")[: watchlists.INSTRUMENTS_MAX]
    watchlists.reorder(watchlist=own, keys=keys)
    return HttpResponse(status=204)


@login_required
@require_POST
def watchlist_change(request: HttpRequest, watchlist_id: int) -> HttpResponse:
    """Renames a list, or removes it."""
    own = watchlists.access(user=_user(request), watchlist_id=watchlist_id)
    if request.POST.get("do") == "delete":
        watchlists.delete(watchlist=own)
    else:
        watchlists.rename(watchlist=own, name=request.POST.get("name", ""))
    return redirect("watchlists")
