"""Baskets: up to twenty orders in one request, each standing or falling by itself."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock, throttle
from mockmarket.core.api.fields import Money, RequestSerializer
from mockmarket.core.api.idempotency import derived_id, idempotent
from mockmarket.core.api.views import ApiView
from trading import baskets, drafts
from trading.api import orders, previews


class BasketOrderInput(orders.OrderInput):
    contest = None  # type: ignore[assignment]  # the basket names it, for all


class BasketInput(RequestSerializer):
    orders = serializers.ListField(
        child=BasketOrderInput(), min_length=1, max_length=baskets.ORDERS_MAX
    )
    contest = serializers.CharField(default=None, allow_null=True, max_length=80)


class BasketRefusalOutput(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="Which order, from 0.")
    code = serializers.CharField()
    message = serializers.CharField()


class BasketOutput(serializers.Serializer[Any]):
    orders = orders.OrderOutput(many=True, help_text="Those accepted, in their sequence.")
    refusals = BasketRefusalOutput(many=True)


class EstimateOutput(serializers.Serializer[Any]):
    index = serializers.IntegerField()
    estimate = previews.PreviewOutput(allow_null=True, help_text="Null: refused, see refusals.")


class BasketPreviewOutput(serializers.Serializer[Any]):
    orders = EstimateOutput(many=True)
    refusals = BasketRefusalOutput(many=True)
    required = Money(help_text="Cash that all would hold together.")  # type: ignore[assignment]
    charges = Money()
    buying_power = Money()
    enough = serializers.BooleanField()


EXAMPLE = OpenApiExample(
    "a share for another",
    {
        "orders": [
            {"instrument_key": "NSE_EQ|INE002A01018", "side": "SELL", "quantity": 5},
            {"instrument_key": "NSE_EQ|INE009A01021", "side": "BUY", "quantity": 8},
        ]
    },
    request_only=True,
)


def _refusals(found: tuple[baskets.Refusal, ...]) -> list[dict[str, Any]]:
    return [{"index": one.index, "code": one.code, "message": one.message} for one in found]


class BasketsView(ApiView):
    """`POST /baskets/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="place_basket",
        summary="Place up to twenty orders",
        request=BasketInput,
        responses={201: BasketOutput, 200: BasketOutput},
        examples=[EXAMPLE],
    )
    @idempotent(durable=True)
    def post(self, request: Request) -> Response:
        """201 when any was accepted, else 200. Every order counts against the minute's limit."""
        given = self.read(BasketInput)
        rows = given["orders"]
        if len(rows) > 1:
            throttle.take_more_orders(
                user_id=self.caller.pk, token_id=self.token_id, cost=len(rows) - 1
            )
        name = derived_id(request)
        for index, row in enumerate(rows):
            row["client_order_id"] = row["client_order_id"] or (name and f"{name}-{index}")
        found = baskets.place_basket(
            user=self.caller,
            contest=given["contest"] or None,
            drafts=[drafts.OrderDraft(**row) for row in rows],
            at=clock.now(),
        )
        return Response(
            {
                "orders": [orders.render(order) for order in found.orders],
                "refusals": _refusals(found.refusals),
            },
            status=201 if found.orders else 200,
        )


class BasketPreviewView(ApiView):
    """`POST /baskets/preview/`."""

    scope = "READ"

    @extend_schema(
        operation_id="preview_basket",
        summary="Estimate a basket",
        request=BasketInput,
        responses={200: BasketPreviewOutput},
        examples=[EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Places nothing: each order's estimate, and whether the cash is enough for all."""
        given = self.read(BasketInput)
        found = baskets.preview_basket(
            user=self.caller,
            contest=given["contest"] or None,
            drafts=[drafts.OrderDraft(**row) for row in given["orders"]],
            at=clock.now(),
        )
        return Response(
            {
                "orders": [
                    {"index": index, "estimate": one and previews.render(one)}
                    for index, one in enumerate(found.orders)
                ],
                "refusals": _refusals(found.refusals),
                "required": f"{found.required:.2f}",
                "charges": f"{found.charges:.2f}",
                "buying_power": f"{found.buying_power:.2f}",
                "enough": found.enough,
            }
        )
