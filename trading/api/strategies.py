"""The margin of several options together."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors as market
from marketdata.api.options import nearest_chain
from mockmarket.core.api.fields import Money, Price, RequestSerializer, price_text
from mockmarket.core.api.views import ApiView
from trading import strategies


class StrategyLegInput(RequestSerializer):
    kind = serializers.ChoiceField([("CE", "Call"), ("PE", "Put")])
    strike = Price()
    lots = serializers.IntegerField(
        min_value=-strategies.LOTS_MAX,
        max_value=strategies.LOTS_MAX,
        help_text="Negative: sold.",
    )


class StrategyInput(RequestSerializer):
    expiry = serializers.DateField(default=None, allow_null=True, help_text="Else the nearest.")
    legs = serializers.ListField(
        child=StrategyLegInput(), min_length=1, max_length=strategies.LEGS_MAX
    )


class StrategyMarginOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    expiry = serializers.DateField()
    span = Money(help_text="The worst loss over 16 scenarios, less what is held.")
    exposure = Money()
    total = Money()
    premium = Money(help_text="What all legs cost together; negative: received.")


class StrategyMarginView(ApiView):
    """`POST /options/{key}/margin/`."""

    scope = "READ"

    @extend_schema(
        operation_id="get_strategy_margin",
        summary="The margin of a strategy",
        request=StrategyInput,
        responses={200: StrategyMarginOutput},
        examples=[
            OpenApiExample(
                "a sold straddle",
                {
                    "legs": [
                        {"kind": "CE", "strike": "25000.00", "lots": -1},
                        {"kind": "PE", "strike": "25000.00", "lots": -1},
                    ]
                },
                request_only=True,
            )
        ],
    )
    def post(self, request: Request, key: str) -> Response:
        """All legs together, so that hedges count. Places nothing."""
        given = self.read(StrategyInput)
        underlying = market.instrument(key)
        chain = nearest_chain(underlying, given["expiry"])
        found = strategies.margin(
            underlying=underlying,
            chain=chain,
            wanted=[
                strategies.Wanted(
                    leg["kind"],
                    float(leg["strike"]),
                    leg["lots"],
                    f"{price_text(leg['strike'])} {leg['kind']}",
                )
                for leg in given["legs"]
            ],
        )
        names = ("span", "exposure", "total", "premium")
        return Response(
            {
                "instrument_key": key,
                "expiry": chain.expiry_date,
                **{name: f"{getattr(found, name):.2f}" for name in names},
            }
        )
