"""Orders: place, preview, read, modify, cancel."""

import uuid
from collections.abc import Mapping
from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock, records
from mockmarket.core.api import filters
from mockmarket.core.api.fields import Instant, Money, Price, RequestSerializer, price_text
from mockmarket.core.api.idempotency import derived_id, idempotent
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios.api.portfolio import ContestQuery, PortfolioView
from portfolios.models import Position
from trading import drafts, selectors, services
from trading.models import Order


@extend_schema_field({"type": "integer", "minimum": 1, "maximum": drafts.QUANTITY_MAX})
class Quantity(serializers.Field[int, Any, int, int]):
    """A whole quantity; anything else is the domain's own refusal, `invalid_quantity`."""

    def to_internal_value(self, data: Any) -> int:
        if isinstance(data, str) and data.isascii() and data.isdigit() and len(data) <= 12:
            data = int(data)
        elif isinstance(data, float) and data.is_integer():
            data = int(data)  # JSON does not tell 5.0 from 5
        return drafts.check_quantity(data)

    def to_representation(self, value: int) -> int:
        return value


def word(choices: list[tuple[str, str]]) -> type[serializers.CharField]:
    """A text field shown as an enumeration; the domain refuses what it does not know."""

    @extend_schema_field(serializers.ChoiceField(choices))
    class Word(serializers.CharField):
        pass

    return Word


Side = word(Order.Side.choices)
OrderType = word(Order.Type.choices)
Product = word(Position.Product.choices)
Validity = word(Order.Validity.choices)


class OrderInput(RequestSerializer):
    instrument_key = serializers.CharField(max_length=64)
    side = Side(max_length=10)
    quantity = Quantity()
    order_type = OrderType(default="MARKET", max_length=10)
    product = Product(default="CNC", max_length=10)
    validity = Validity(default="DAY", max_length=10)
    price = Price(default=None, allow_null=True)
    trigger_price = Price(default=None, allow_null=True)
    client_order_id = serializers.CharField(
        default=None,
        allow_null=True,
        max_length=64,
        help_text="The caller's own name of the order; a repeat returns the first order.",
    )
    contest = serializers.CharField(default=None, allow_null=True, max_length=80)
    after_market = serializers.BooleanField(
        default=False, help_text="Queue it when the market is closed."
    )
    reason = serializers.CharField(
        default="", allow_blank=True, max_length=500, help_text="For the journal."
    )


class ChangesInput(RequestSerializer):
    quantity = Quantity(required=False)
    order_type = OrderType(required=False, max_length=10)
    price = Price(required=False, allow_null=True)
    trigger_price = Price(required=False, allow_null=True)


class OrderOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    client_order_id = serializers.CharField()
    contest = serializers.CharField()
    portfolio_id = serializers.IntegerField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(Order.Side.choices)
    order_type = serializers.ChoiceField(Order.Type.choices)
    product = serializers.ChoiceField(Position.Product.choices)
    validity = serializers.ChoiceField(Order.Validity.choices)
    quantity = serializers.IntegerField()
    filled_quantity = serializers.IntegerField()
    price = Price(allow_null=True)
    trigger_price = Price(allow_null=True)
    average_price = Price(allow_null=True, help_text="Of what has filled.")
    status = serializers.ChoiceField(Order.Status.choices)
    status_reason = serializers.CharField(help_text="Why it stands as it does, in English.")
    status_reason_code = serializers.CharField(help_text="The same as a stable code.")
    status_reason_values = serializers.DictField(child=serializers.CharField())
    reserved = Money(help_text="Cash held for what is unfilled.")
    reason = serializers.CharField()
    placed_at = Instant()
    updated_at = Instant()
    session_date = serializers.DateField()


def render(row: Order) -> Mapping[str, Any]:
    """An order as the API shows it. Needs its instrument and its portfolio's contest loaded."""
    return {
        "id": row.id,
        "client_order_id": row.client_order_id,
        "contest": row.portfolio.contest.slug,
        "portfolio_id": row.portfolio_id,
        "instrument_key": row.instrument.key,
        "symbol": row.instrument.symbol,
        "side": row.side,
        "order_type": row.order_type,
        "product": row.product,
        "validity": row.validity,
        "quantity": row.quantity,
        "filled_quantity": row.filled_quantity,
        "price": price_text(row.price),
        "trigger_price": price_text(row.trigger_price),
        "average_price": price_text(row.average_price),
        "status": row.status,
        **records.told(row.status_reason, "status_reason"),
        "reserved": f"{row.reserved:.2f}",
        "reason": row.reason,
        "placed_at": row.placed_at,
        "updated_at": row.updated_at,
        "session_date": row.session_date,
    }


class OrderFilters(django_filters.FilterSet):  # type: ignore[misc]
    status = django_filters.ChoiceFilter(choices=Order.Status.choices)
    side = django_filters.ChoiceFilter(choices=Order.Side.choices)
    instrument = django_filters.CharFilter(
        field_name="instrument__key", max_length=64, help_text="Instrument key."
    )
    since = django_filters.IsoDateTimeFilter(
        field_name="placed_at", lookup_expr="gte", help_text="ISO 8601."
    )
    until = django_filters.IsoDateTimeFilter(
        field_name="placed_at", lookup_expr="lt", help_text="ISO 8601, exclusive."
    )


class OrdersQuery(ContestQuery):
    live = serializers.BooleanField(default=False, help_text="Only orders that can still fill.")


MARKET_EXAMPLE = OpenApiExample(
    "buy ten by market",
    {
        "instrument_key": "NSE_EQ|INE002A01018",
        "side": "BUY",
        "quantity": 10,
        "order_type": "MARKET",
        "client_order_id": "bot-2026-11-21-0001",
    },
    request_only=True,
)
LIMIT_EXAMPLE = OpenApiExample(
    "sell five at a limit",
    {
        "instrument_key": "NSE_EQ|INE002A01018",
        "side": "SELL",
        "quantity": 5,
        "order_type": "LIMIT",
        "price": "2450.50",
    },
    request_only=True,
)


class OrdersView(PortfolioView):
    """`GET, POST /orders/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="list_orders",
        summary="The caller's orders",
        parameters=[OrdersQuery, *filters.parameters(OrderFilters), *PAGED],
        responses=page_serializer(OrderOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        given = self.read(OrdersQuery, source="query")
        rows = filters.apply(
            filters=OrderFilters,
            request=request,
            queryset=selectors.orders(portfolio=self.portfolio(), live=given["live"]),
        )
        return self.page(queryset=rows, ordering="-placed_at", render=render)

    @extend_schema(
        operation_id="place_order",
        summary="Place an order",
        request=OrderInput,
        responses={201: OrderOutput, 200: OrderOutput},
        examples=[MARKET_EXAMPLE, LIMIT_EXAMPLE],
    )
    @idempotent(durable=True)
    def post(self, request: Request) -> Response:
        """201 with the new order; 200 with the first when `client_order_id` was used before."""
        given = self.read(OrderInput)
        contest = given.pop("contest") or None
        given["client_order_id"] = given["client_order_id"] or derived_id(request)
        result = services.place_order(
            user=self.caller,
            contest=contest,
            draft=drafts.OrderDraft(**given),
            at=clock.now(),
        )
        return Response(render(result.order), status=201 if result.created else 200)


class OrderView(ApiView):
    """`GET, PATCH, DELETE /orders/{id}/`."""

    bucket = "orders"

    def require_owner(self, order_id: uuid.UUID) -> None:
        """Staff see every order here, and act on others' only in the admin, with a reason."""
        order = selectors.order(user=self.caller, order_id=order_id)
        if order.portfolio.user_id != self.caller.pk:
            raise selectors.NoOrder("There is no such order.")

    @extend_schema(
        operation_id="get_order",
        summary="One order",
        parameters=[FIELDS],
        responses=OrderOutput,
    )
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """Its present state."""
        return self.one(render(selectors.order(user=self.caller, order_id=order_id)))

    @extend_schema(
        operation_id="modify_order",
        summary="Modify a live order",
        request=ChangesInput,
        responses={200: OrderOutput},
    )
    def patch(self, request: Request, order_id: uuid.UUID) -> Response:
        """Quantity (of the whole order), type or prices; what is left out stays."""
        self.require_owner(order_id)
        order = services.modify_order(
            user=self.caller,
            order_id=order_id,
            changes=services.OrderChanges(**self.read(ChangesInput)),
            at=clock.now(),
        )
        return Response(render(order))

    @extend_schema(
        operation_id="cancel_order",
        summary="Cancel a live order",
        responses={200: OrderOutput},
    )
    def delete(self, request: Request, order_id: uuid.UUID) -> Response:
        """What has filled stays filled; after this answer nothing more fills."""
        self.require_owner(order_id)
        order = services.cancel_order(user=self.caller, order_id=order_id, at=clock.now())
        return Response(render(order))
