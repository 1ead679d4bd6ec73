"""The page of alerts."""

from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from marketdata import selectors as market
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.refusals import all_said, said
from portfolios.current import user_of
from trading import alerting
from trading.models import Alert


@login_required
@require_http_methods(["GET", "POST"])
def alerts(request: HttpRequest) -> HttpResponse:
    """What is watched, what was reported, and the form for another."""
    if request.method == "POST":
        try:
            alerting.create(
                user=user_of(request),
                instrument=market.instrument_by_symbol(request.POST.get("symbol", "").strip()),
                kind=request.POST.get("kind", ""),
                threshold=_number(request.POST.get("threshold", "")),
                note=request.POST.get("note", "").strip(),
                at=clock.now(),
            )
        except market.UnknownInstrument as refusal:
            return _page(request, errors={"symbol": said(refusal.message)}, status=400)
        except DomainError as refusal:
            errors = all_said(refusal.fields or {"form": refusal.message})
            return _page(request, errors=errors, status=refusal.status)
        return redirect("alerts")
    return _page(request)


def _number(text: str) -> Decimal:
    """What was typed; 0 for what is no number, which the service refuses."""
    try:
        return Decimal(text.replace(",", "").replace("₹", "").strip() or "0")
    except InvalidOperation:
        return Decimal(0)


def _page(
    request: HttpRequest, *, errors: dict[str, str] | None = None, status: int = 200
) -> HttpResponse:
    at = clock.now()
    own = list(alerting.alerts_of(user=user_of(request)))
    quotes = market.quotes({alert.instrument.key for alert in own}, at)
    rows = [{"alert": alert, "quote": quotes.get(alert.instrument.key)} for alert in own]
    values: dict[str, Any] = {
        "symbol": request.GET.get("symbol", ""),
        "kind": Alert.Kind.PRICE_ABOVE,
    }
    if request.method == "POST":
        values = {
            name: request.POST.get(name, "") for name in ("symbol", "kind", "threshold", "note")
        }
    context = {
        "rows": rows,
        "events": alerting.events_of(user=user_of(request))[: alerting.EVENTS_SHOWN],
        "kinds": [
            ("PRICE_ABOVE", _("Price rises to ₹")),
            ("PRICE_BELOW", _("Price falls to ₹")),
            ("PERCENT_MOVE", _("Moves by percent in the day")),
            ("VOLUME_SPIKE", _("Volume of a minute, × the usual")),
            ("RANGE_BREAKOUT", _("Leaves the day’s range")),
        ],
        "values": values,
        "errors": errors or {},
        "most": alerting.ALERTS_MAX,
    }
    return render(request, "trading/alerts.html", context, status=status)


@login_required
@require_GET
def alerts_events(request: HttpRequest) -> HttpResponse:
    """What was reported, after an alert went off."""
    found = alerting.events_of(user=user_of(request))[: alerting.EVENTS_SHOWN]
    return render(request, "trading/alert_events.html", {"events": found})


@login_required
@require_POST
def alert_remove(request: HttpRequest, alert_id: int) -> HttpResponse:
    """Ends an alert."""
    alerting.remove(user=user_of(request), alert_id=alert_id)
    return redirect("alerts")
