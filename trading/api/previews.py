"""What an order would cost and where it would fill, before it is placed."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata.api.quotes import LevelOutput
from mockmarket.core import clock
from mockmarket.core.api.fields import Money, Price, price_text
from mockmarket.core.api.views import ApiView
from trading import drafts, previews
from trading.api.orders import MARKET_EXAMPLE, OrderInput


class RefusalOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class PreviewOutput(serializers.Serializer[Any]):
    symbol = serializers.CharField()
    quantity = serializers.IntegerField()
    expected_price = Price(allow_null=True, help_text="Average of what would fill at once.")
    expected_quantity = serializers.IntegerField()
    levels = LevelOutput(many=True, help_text="The fills that would happen at once.")
    impact_percent = serializers.CharField(help_text="Of the last price.")
    value = Money()
    charges = Money()
    charge_lines = serializers.DictField(child=serializers.CharField())
    break_even = Price(allow_null=True)
    margin = Money()
    required = Money(  # type: ignore[assignment]
        help_text="Cash that the order would hold."
    )
    buying_power = Money()
    buying_power_after = Money()
    quote_age_ms = serializers.IntegerField(allow_null=True)
    refusal = RefusalOutput(allow_null=True, help_text="Why it would be refused now.")


_MONEY = ("value", "charges", "margin", "required", "buying_power", "buying_power_after")


class PreviewView(ApiView):
    """`POST /orders/preview/`."""

    scope = "READ"

    @extend_schema(
        operation_id="preview_order",
        summary="Estimate an order",
        request=OrderInput,
        responses={200: PreviewOutput},
        examples=[MARKET_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Places nothing. Charges, margin, expected fill and impact at this instant's quote."""
        given = self.read(OrderInput)
        found = previews.preview_order(
            user=self.caller,
            contest=given.pop("contest") or None,
            draft=drafts.OrderDraft(**given),
            at=clock.now(),
        )
        return Response(render(found))


def render(found: previews.Preview) -> dict[str, Any]:
    """An estimate as the API shows it."""
    body: dict[str, Any] = {
        "symbol": found.symbol,
        "quantity": found.quantity,
        "expected_price": price_text(found.expected_price),
        "expected_quantity": found.expected_quantity,
        "levels": [
            {"price": price_text(price), "quantity": quantity} for price, quantity in found.levels
        ],
        "impact_percent": str(found.impact_percent),
        "charge_lines": {name: str(value) for name, value in found.charge_lines.items()},
        "break_even": price_text(found.break_even),
        "quote_age_ms": found.quote_age_ms,
        "refusal": None
        if found.refusal is None
        else {"code": found.refusal[0], "message": found.refusal[1]},
    }
    body.update((name, f"{getattr(found, name):.2f}") for name in _MONEY)
    return body
