"""The order ticket: an order, a price to wait for (GTT, OCO), or a bracket, and its estimate."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from marketdata import selectors as market
from marketdata.models import Instrument
from mockmarket.core import clock, throttle
from mockmarket.core.errors import DomainError
from mockmarket.core.formats import number, percent, rupees
from mockmarket.core.refusals import said
from portfolios.contests import Rules, rules_of
from portfolios.current import portfolio_of, user_of
from trading import drafts, gtt, preparing, previews, selectors, services
from trading.drafts import OrderDraft
from trading.models import Gtt, Order
from trading.previews import Preview
from trading.services import OrderChanges
from trading.views.orders import charge_words, listed

# What a ticket may refuse beside a field; anything else is said above the form.
FIELDS = (
    "quantity", "price", "trigger_price", "product", "validity", "order_type", "reason",
    "lower", "lower_price", "upper", "upper_price", "stop", "target",
)  # fmt: skip


@login_required
@require_http_methods(["GET", "POST"])
def ticket(request: HttpRequest) -> HttpResponse:
    """The ticket's fragment; a POST places or changes an order and shows its state."""
    if request.method == "POST":
        return _submit(request)
    order_id = request.GET.get("order", "")
    if order_id:
        order = selectors.order(user=user_of(request), order_id=order_id)
        return _ticket(request, order.instrument, values_of(order))
    instrument = market.instrument(request.GET.get("instrument", ""))
    contest = portfolio_of(request, at=clock.now()).contest
    values = {
        "side": "SELL" if request.GET.get("side") == "SELL" else "BUY",
        "order_type": "LIMIT" if request.GET.get("price") else "MARKET",
        "product": products_of(instrument, rules_of(contest))[0],
        "validity": "DAY",
        "quantity": str(instrument.lot_size),
        "price": request.GET.get("price", ""),
        "client_order_id": uuid.uuid4().hex,
    }
    return _ticket(request, instrument, values)


def values_of(order: Order) -> dict[str, Any]:
    """A live order as the ticket shows it for changing."""
    return {
        "order": str(order.pk),
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "quantity": str(order.quantity),
        "price": "" if order.price is None else f"{order.price:.2f}",
        "trigger_price": "" if order.trigger_price is None else f"{order.trigger_price:.2f}",
    }


def _ticket(
    request: HttpRequest,
    instrument: Instrument,
    values: dict[str, Any],
    *,
    errors: dict[str, str] | None = None,
    status: int = 200,
) -> HttpResponse:
    at = clock.now()
    rules = rules_of(portfolio_of(request, at=at).contest)
    context = {
        "instrument": instrument,
        "quote": market.quote(instrument.key, at),
        "ticket": values,
        "errors": errors or {},
        "stopped": _stopped(request, at=at),
        "reason_required": rules.reason_required,
        **choices(instrument, rules),
    }
    return render(request, "trading/ticket.html", context, status=status)


def choices(instrument: Instrument, rules: Rules) -> dict[str, list[tuple[str, str]]]:
    """What the ticket lets one choose for this instrument in a contest with these rules."""
    words = {"CNC": _("Delivery"), "MIS": _("Intraday"), "NRML": _("Carry forward")}
    return {
        "modes": [("ORDER", _("Order")), ("GTT", _("Wait for a price")), ("BRACKET", _("Bracket"))],
        "products": [(name, words[name]) for name in products_of(instrument, rules)],
        "order_types": [
            ("MARKET", _("Market")),
            ("LIMIT", _("Limit")),
            ("SL", _("Stop limit")),
            ("SL_M", _("Stop")),
        ],
        "validities": [("DAY", _("Day")), ("IOC", _("Immediate or cancel"))],
    }


def products_of(instrument: Instrument, rules: Rules) -> list[str]:
    """The products that the contest allows for an instrument, the usual one first. Where it allows
    none, all that there are: the estimate then says what the contest does not allow."""
    usual = "CNC" if instrument.segment.endswith("_EQ") else "NRML"
    found = [usual, "MIS"]
    return [name for name in found if name in rules.products] or found


def _stopped(request: HttpRequest, *, at: datetime) -> str:
    """Why the contest takes no orders now; empty while it does."""
    try:
        preparing.check_contest(portfolio_of(request, at=at).contest, at=at)
    except DomainError as refusal:
        return said(refusal.message)
    return ""


def _submit(request: HttpRequest) -> HttpResponse:
    instrument = market.instrument(request.POST.get("instrument_key", ""))
    at = clock.now()
    try:
        throttle.take_order(user_id=user_of(request).pk)
        if request.POST.get("mode") == "GTT":
            return _placed(request, watching=_place_gtt(request, at=at), at=at)
        if request.POST.get("mode") == "BRACKET":
            order, bracket = _place_bracket(request, at=at)
            return _placed(request, order=order, watching=bracket, at=at)
        return _placed(request, order=_place(request, at=at), at=at)
    except DomainError as refusal:
        values = {name: value for name, value in request.POST.items() if isinstance(value, str)}
        errors = beside(refusal)
        return _ticket(request, instrument, values, errors=errors, status=refusal.status)


def beside(refusal: DomainError) -> dict[str, str]:
    """A refusal's messages by the ticket's fields; under "form" what belongs to none."""
    errors = {name: said(text) for name, text in refusal.fields.items() if name in FIELDS}
    return errors or {"form": said(refusal.message)}


def _place(request: HttpRequest, *, at: datetime) -> Order:
    user = user_of(request)
    if request.POST.get("order"):
        return services.modify_order(
            user=user, order_id=request.POST["order"], changes=changes(request), at=at
        )
    contest = portfolio_of(request, at=at).contest.slug
    return services.place_order(user=user, contest=contest, draft=_draft(request), at=at).order


def _place_gtt(request: HttpRequest, *, at: datetime) -> Gtt:
    post = request.POST
    wanted = gtt.GttDraft(
        instrument_key=post.get("instrument_key", ""),
        side=post.get("side", ""),
        quantity=_quantity(post.get("quantity", "")),
        product=post.get("product", ""),
        lower=_leg(post, "lower"),
        upper=_leg(post, "upper"),
    )
    contest = portfolio_of(request, at=at).contest.slug
    return gtt.place_gtt(user=user_of(request), contest=contest, draft=wanted, at=at)


def _place_bracket(request: HttpRequest, *, at: datetime) -> tuple[Order, Gtt]:
    entry = _draft(request)
    legs = {name: _leg(request.POST, name) for name in ("stop", "target")}
    for name, leg in legs.items():
        if leg is None:
            message = _("Enter a price.")
            raise gtt.InvalidLeg(message, fields={name: message})
    assert legs["stop"] is not None
    assert legs["target"] is not None
    try:
        return gtt.place_bracket(
            user=user_of(request),
            contest=portfolio_of(request, at=at).contest.slug,
            entry=entry,
            stop=legs["stop"],
            target=legs["target"],
            at=at,
        )
    except DomainError as refusal:
        lower, upper = ("stop", "target") if entry.buy else ("target", "stop")
        names = {"lower": lower, "upper": upper}
        refusal.fields = {names.get(name, name): text for name, text in refusal.fields.items()}
        raise


def _leg(post: Mapping[str, str], name: str) -> gtt.Leg | None:
    trigger = price(name, post.get(name, ""))
    limit = price(f"{name}_price", post.get(f"{name}_price", ""))
    if trigger is None and limit is not None:
        message = _("A limit needs the price that it waits for.")
        raise gtt.InvalidLeg(message, fields={name: message})
    return None if trigger is None else gtt.Leg(trigger=trigger, price=limit)


def _placed(
    request: HttpRequest,
    *,
    at: datetime,
    order: Order | None = None,
    watching: Gtt | None = None,
) -> HttpResponse:
    shown = order or watching
    assert shown is not None
    if order is not None:
        listed([order], at=at)
    context = {"order": order, "watching": watching, "instrument": shown.instrument}
    return render(request, "trading/ticket_placed.html", context)


# --- What was typed ---------------------------------------------------------------------
def _draft(request: HttpRequest) -> OrderDraft:
    post = request.POST
    return OrderDraft(
        instrument_key=post.get("instrument_key", ""),
        side=post.get("side", ""),
        quantity=_quantity(post.get("quantity", "")),
        order_type=post.get("order_type", ""),
        product=post.get("product", ""),
        validity=post.get("validity", "DAY"),
        price=price("price", post.get("price", "")),
        trigger_price=price("trigger_price", post.get("trigger_price", "")),
        client_order_id=post.get("client_order_id") or None,
        after_market=post.get("after_market") == "1",
        reason=post.get("reason", "").strip(),
    )


def changes(request: HttpRequest) -> OrderChanges:
    """What a form asks to change of a live order."""
    post = request.POST
    return OrderChanges(
        quantity=_quantity(post.get("quantity", "")),
        order_type=post.get("order_type") or None,
        price=price("price", post.get("price", "")),
        trigger_price=price("trigger_price", post.get("trigger_price", "")),
    )


def _quantity(text: str) -> int:
    """A whole number as typed, grouped or not; -1 for what is none, which the service refuses."""
    plain = text.replace(",", "").strip()
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 16 else -1


def price(name: str, text: str) -> Decimal | None:
    """A price as typed; empty is none. Raises the service's refusal for what is no number."""
    plain = text.replace(",", "").replace("₹", "").strip()
    if not plain:
        return None
    try:
        value = Decimal(plain)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        message = _("Enter a price as a number.")
        raise drafts.InvalidPrice(message, fields={name: message})
    return value


# --- The estimate -----------------------------------------------------------------------
@login_required
@require_POST
def estimate(request: HttpRequest) -> HttpResponse:
    """What the order on the ticket would cost now; a refusal is shown, nothing is kept."""
    at = clock.now()
    context: dict[str, Any] = {"mode": request.POST.get("mode", "ORDER")}
    if context["mode"] != "GTT" and request.POST.get("quantity", "").strip():
        try:
            draft = _draft(request)
            preview = previews.preview_order(
                user=user_of(request),
                contest=portfolio_of(request, at=at).contest.slug,
                draft=draft,
                at=at,
            )
            context["preview"] = _lines(preview, product=draft.product)
            words = charge_words()
            context["charges"] = [
                (words.get(name, name), amount) for name, amount in preview.charge_lines.items()
            ]
            if context["mode"] == "BRACKET":
                context["outcomes"] = _outcomes(request, draft, preview)
            if preview.refusal:
                context["refusal"] = said(preview.refusal[1])
        except DomainError as refusal:
            context["refusal"] = said(refusal.message)
    return render(request, "trading/estimate.html", context)


def _lines(preview: Preview, *, product: str) -> list[tuple[str, str, bool]]:
    """The estimate as label, text and whether it is the total."""
    lines = [
        (_("Expected price"), rupees(preview.expected_price), False),
        (_("Value"), rupees(preview.value), False),
    ]
    if preview.expected_quantity < preview.quantity:
        lines.insert(1, (_("Fills at once"), number(preview.expected_quantity, places=0), False))
    if preview.impact_percent:
        lines.append(
            (_("Away from the last price"), percent(preview.impact_percent, signed=False), False)
        )
    if product != "CNC":
        lines.append((_("Margin"), rupees(preview.margin), False))
    if preview.break_even is not None:
        lines.append((_("Breaks even at"), rupees(preview.break_even), False))
    lines.append((_("Charges"), rupees(preview.charges), False))
    lines.append((_("Cash held for it"), rupees(preview.required), True))
    lines.append((_("You can spend"), rupees(preview.buying_power), False))
    return lines


def _outcomes(
    request: HttpRequest, draft: OrderDraft, preview: Preview
) -> list[tuple[str, str, str]]:
    """What a bracket wins or loses at its two ends, before charges: label, rupees, tone."""
    entry = preview.expected_price or draft.price or preview.value / preview.quantity
    found = []
    for name, label in (("target", _("At the target")), ("stop", _("At the stop"))):
        end = price(name, request.POST.get(name, ""))
        if end is None:
            continue
        gain = (end - entry) * draft.quantity * (1 if draft.buy else -1)
        found.append((label, rupees(gain, signed=True), "up" if gain > 0 else "down"))
    return found
