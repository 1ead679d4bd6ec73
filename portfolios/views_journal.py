"""The journal's pages: reading one's notes by share, tag and kind, adding and mending them."""

from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from marketdata import selectors as market
from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.refusals import all_said
from portfolios import contests
from portfolios import journal as notes
from portfolios.current import portfolio_of
from portfolios.models import JournalEntry

NOTES_PAGE = 25
FILTERS = ("kind", "symbol", "tag", "search")


@login_required
@require_http_methods(["GET", "POST"])
def journal(request: HttpRequest) -> HttpResponse:
    """The notes that the filters let through; a POST adds one."""
    if request.method == "GET":
        return _page(request)
    at = clock.now()
    try:
        notes.write(
            portfolio=portfolio_of(request, at=at),
            text=request.POST.get("text", ""),
            tags=request.POST.get("tags", "").split(","),
            instrument=_instrument(request.POST.get("instrument", "")),
            at=at,
        )
    except notes.InvalidNote as refusal:
        return _page(request, refusal=refusal)
    return redirect("journal")


def _instrument(symbol: str) -> Instrument | None:
    """The share that a note is about. Raises InvalidNote for one that there is not."""
    if not symbol.strip():
        return None
    try:
        return market.instrument_by_symbol(symbol.strip().upper())
    except NotFound:
        message = _("There is no share with this symbol.")
        raise notes.InvalidNote(message, fields={"instrument": message}) from None


def _page(request: HttpRequest, *, refusal: DomainError | None = None) -> HttpResponse:
    shown = portfolio_of(request, at=clock.now())
    chosen = {name: request.GET.get(name, "").strip() for name in FILTERS}
    if chosen["kind"] not in JournalEntry.Kind.values:
        chosen["kind"] = ""
    page = Paginator(notes.notes(portfolio=shown, **chosen), NOTES_PAGE).get_page(
        request.GET.get("page")
    )
    errors = all_said(refusal.fields or {"text": refusal.message}) if refusal else {}
    query = {name: value for name, value in chosen.items() if value}
    context: dict[str, Any] = {
        "portfolio": shown,
        "notes": page,
        "kinds": [("", _("All")), *_kinds()],
        "kind_words": dict(_kinds()),
        "chosen": chosen,
        "filtered": bool(query),
        "older": urlencode({**query, "page": page.next_page_number()}) if page.has_next() else "",
        "tags": notes.tags_of(portfolio=shown),
        "suggested": notes.SUGGESTED_TAGS,
        "errors": errors,
        "typed": request.POST if refusal else {},
        "reason_required": contests.rules_of(shown.contest).reason_required,
    }
    return render(
        request, "portfolios/journal.html", context, status=refusal.status if refusal else 200
    )


def _kinds() -> list[tuple[str, str]]:
    return [
        ("ENTRY", _("Reason at entry")),
        ("EXIT", _("Note at exit")),
        ("NOTE", _("Note")),
    ]


@login_required
@require_POST
def journal_note(request: HttpRequest, note_id: int) -> HttpResponse:
    """Changes one of one's own notes."""
    at = clock.now()
    try:
        notes.rewrite(
            portfolio=portfolio_of(request, at=at),
            note_id=note_id,
            text=request.POST.get("text", ""),
            tags=request.POST.get("tags", "").split(","),
            at=at,
        )
    except notes.InvalidNote as refusal:
        return _page(request, refusal=refusal)
    return redirect("journal")


@login_required
@require_POST
def journal_remove(request: HttpRequest, note_id: int) -> HttpResponse:
    """Removes one of one's own notes; what was said with an order stays."""
    try:
        notes.remove(portfolio=portfolio_of(request, at=clock.now()), note_id=note_id)
    except notes.InvalidNote as refusal:
        return _page(request, refusal=refusal)
    return redirect("journal")
