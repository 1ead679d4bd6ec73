"""One row of the order list, changed where it stands."""

import uuid

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET, require_http_methods

from mockmarket.core import clock, throttle
from mockmarket.core.errors import DomainError
from portfolios.current import user_of
from trading import selectors, services
from trading.models import Order
from trading.views.orders import listed
from trading.views.ticket import beside, changes, values_of


@login_required
@require_http_methods(["GET", "POST"])
def order_edit(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """The row with fields in it; a POST changes the order and shows the row again."""
    user = user_of(request)
    order = selectors.order(user=user, order_id=order_id)
    [order] = listed([order], at=clock.now())
    if request.method == "GET":
        return _row(request, order, {"edit": values_of(order)} if order.is_live else {})  # type: ignore[attr-defined]
    try:
        throttle.take_order(user_id=user.pk)
        order = services.modify_order(
            user=user, order_id=order_id, changes=changes(request), at=clock.now()
        )
    except services.OrderNotLive:
        # Filled or ended while it was being edited: the row says how.
        order = selectors.order(user=user, order_id=order_id)
    except DomainError as refusal:
        edit = values_of(order) | dict(request.POST.items())
        return _row(request, order, {"edit": edit, "errors": beside(refusal)}, refusal.status)
    [order] = listed([order], at=clock.now())
    return _row(request, order, {})


@login_required
@require_GET
def order_row(request: HttpRequest, order_id: uuid.UUID) -> HttpResponse:
    """The row as it is, after leaving its fields."""
    order = selectors.order(user=user_of(request), order_id=order_id)
    [order] = listed([order], at=clock.now())
    return _row(request, order, {})


def _row(
    request: HttpRequest, order: Order, more: dict[str, object], status: int = 200
) -> HttpResponse:
    compact = request.GET.get("compact") or request.POST.get("compact")
    context = {"order": order, "compact": compact, **more}
    return render(request, "trading/order_row.html", context, status=status)
