"""The lists of orders and of watched prices, and why a fill got its price."""

import uuid
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from marketdata import selectors as market
from mockmarket.core import clock
from mockmarket.core.formats import number, rupees
from mockmarket.core.refusals import said
from portfolios.current import portfolio_of, user_of
from portfolios.models import Portfolio
from trading import gtt, selectors, services
from trading.depth import ladder
from trading.lifecycle import LIVE
from trading.models import Fill, Gtt, Order

ORDERS_PAGE = 50


# --- Lists ------------------------------------------------------------------------------
@login_required
@require_GET
def orders(request: HttpRequest) -> HttpResponse:
    """Orders by state, or watched prices, newest first."""
    at = clock.now()
    portfolio = portfolio_of(request, at=at)
    show = request.GET.get("show", "open")
    number_asked = request.GET.get("page")
    page: Page[Gtt] | Page[Order]
    context: dict[str, Any] = {"show": show}
    if show == "triggers":
        page = Paginator(gtt.gtts(portfolio=portfolio), ORDERS_PAGE).get_page(number_asked)
        context["watching"] = watching(list(page), at=at)
    else:
        found = selectors.orders(portfolio=portfolio, live=show == "open")
        if show == "executed":
            found = found.filter(filled_quantity__gt=0)
        page = Paginator(found, ORDERS_PAGE).get_page(number_asked)
        context["orders"] = listed(list(page), at=at)
    context |= {
        "next_page": page.next_page_number() if page.has_next() else None,
        "order_tabs": _tabs(portfolio),
    }
    part = request.GET.get("fragment")
    return render(request, "trading/orders_list.html" if part else "trading/orders.html", context)


def _tabs(portfolio: Portfolio) -> list[tuple[str, str, int | None]]:
    waiting = gtt.gtts(portfolio=portfolio).filter(status__in=gtt.LIVE).count()
    return [
        ("open", _("Open"), selectors.orders(portfolio=portfolio, live=True).count()),
        ("triggers", _("Watched prices"), waiting),
        ("executed", _("Executed"), None),
        ("all", _("All"), None),
    ]


def watching(found: list[Gtt], *, at: datetime) -> list[Gtt]:
    """The same instructions, each with the newest `quote` and whether it `is_live`."""
    quotes = market.quotes({one.instrument.key for one in found}, at)
    for one in found:
        one.quote = quotes.get(one.instrument.key)  # type: ignore[attr-defined]
        one.is_live = one.status in gtt.LIVE  # type: ignore[attr-defined]
    return found


def listed(found: list[Order], *, at: datetime) -> list[Order]:
    """The same orders, each with the newest `quote` of its instrument and whether it `is_live`."""
    quotes = market.quotes({order.instrument.key for order in found}, at)
    for order in found:
        order.quote = quotes.get(order.instrument.key)  # type: ignore[attr-defined]
        order.is_live = order.status in LIVE  # type: ignore[attr-defined]
    return found


@login_required
@require_POST
def cancel(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Cancels what is unfilled; the stream tells the page."""
    try:
        services.cancel_order(user=user_of(request), order_id=order_id, at=clock.now())
    except services.OrderNotLive:
        return HttpResponse(status=204)
    return HttpResponse(status=204)


@login_required
@require_POST
def trigger_cancel(request: HttpRequest, gtt_id: uuid.UUID) -> HttpResponse:
    """Stops watching a price; the page asks for its list again."""
    with suppress(services.OrderNotLive):  # it fired or ended meanwhile; the list says so
        gtt.cancel_gtt(user=user_of(request), gtt_id=gtt_id, at=clock.now())
    return HttpResponse(status=204, headers={"HX-Trigger": "orders-changed"})


# --- Why this price? --------------------------------------------------------------------
@login_required
@require_GET
def order_detail(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """Each fill with the quote it used, the rule's steps and its charges."""
    order = selectors.order(user=user_of(request), order_id=order_id)
    fills = [_explained(fill) for fill in selectors.fills_of_order(order=order)]
    return render(request, "trading/order_detail.html", {"order": order, "fills": fills})


def _explained(fill: Fill) -> Fill:
    """The fill with `lines`, `quote_lines`, `day` and `depth` for the page."""
    quote = fill.quote
    words = charge_words()
    fill.lines = [  # type: ignore[attr-defined]
        (words.get(name, name), amount) for name, amount in fill.charge_lines.items()
    ]
    fill.quote_lines = [  # type: ignore[attr-defined]
        (_("Last price"), rupees(Decimal(quote["last_price"])) if quote.get("last_price") else "–"),
        (_("Exchange time"), _moment(quote.get("exchange_ms"))),
        (_("Received"), _moment(quote.get("received_ms"))),
        (_("Source"), said(quote.get("source") or "–")),
        (_("Volume so far"), number(quote.get("volume"), places=0)),
    ]
    fill.day = fill.filled_at.astimezone(clock.IST).date()  # type: ignore[attr-defined]
    fill.depth = ladder({side: quote.get(side) or [] for side in ("bids", "asks")})  # type: ignore[attr-defined]
    return fill


def _moment(milliseconds: int | None) -> str:
    if not milliseconds:
        return "–"
    local = clock.from_ms(milliseconds).astimezone(clock.IST)
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03} IST"


def charge_words() -> dict[str, str]:
    """The parts of the charges as pages call them."""
    return {
        "brokerage": _("Brokerage"),
        "stt": _("Securities transaction tax"),
        "exchange": _("Exchange"),
        "sebi": "SEBI",
        "stamp_duty": _("Stamp duty"),
        "gst": "GST",
        "depository": _("Depository"),
    }
