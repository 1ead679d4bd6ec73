"""Quotes, depth and the market's status."""

from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors
from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, Percent, Price, price_text
from mockmarket.core.api.schema import FIELDS
from mockmarket.core.api.views import ApiView, reduced

KEYS_MAX = 500


class QuoteOutput(serializers.Serializer[Any]):
    last_price = Price(allow_null=True)
    change = Price(allow_null=True, help_text="Rupees above the previous close.")
    change_percent = Percent(allow_null=True)
    volume = serializers.IntegerField(allow_null=True)
    bid = Price(allow_null=True)
    ask = Price(allow_null=True)
    bid_quantity = serializers.IntegerField(allow_null=True)
    ask_quantity = serializers.IntegerField(allow_null=True)
    open = Price(allow_null=True)
    high = Price(allow_null=True)
    low = Price(allow_null=True)
    previous_close = Price(allow_null=True)
    average_price = Price(allow_null=True)
    open_interest = serializers.IntegerField(allow_null=True)
    timestamp = Instant(allow_null=True, help_text="The exchange's time.")
    source = serializers.CharField(  # type: ignore[assignment]
        allow_null=True, help_text="stream, rest, cache (last word of a dead feed) or database."
    )
    age_ms = serializers.IntegerField(
        allow_null=True, help_text="Milliseconds since the price arrived."
    )


class QuotesOutput(serializers.Serializer[Any]):
    data = serializers.DictField(  # type: ignore[assignment]
        child=QuoteOutput(), help_text="By instrument key; keys without a price are missing."
    )


def render(quote: selectors.QuoteView) -> dict[str, Any]:
    """A quote as the API shows it."""
    percent = quote.change_percent
    return {
        "last_price": price_text(quote.last_price),
        "change": price_text(quote.change),
        "change_percent": None if percent is None else str(percent),
        "volume": quote.volume,
        "bid": price_text(quote.bid),
        "ask": price_text(quote.ask),
        "bid_quantity": quote.bid_quantity,
        "ask_quantity": quote.ask_quantity,
        "open": price_text(quote.open),
        "high": price_text(quote.high),
        "low": price_text(quote.low),
        "previous_close": price_text(quote.previous_close),
        "average_price": price_text(quote.average_price),
        "open_interest": quote.open_interest,
        "timestamp": quote.timestamp,
        "source": quote.source,
        "age_ms": quote.age_ms,
    }


def instrument_keys(text: str) -> list[str]:
    """`?instruments=a,b` as keys; raises ValidationError for none or more than KEYS_MAX."""
    keys = list(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))
    if not keys:
        raise exceptions.ValidationError({"instruments": ["Name at least one instrument."]})
    if len(keys) > KEYS_MAX:
        raise exceptions.ValidationError({"instruments": [f"At most {KEYS_MAX} at once."]})
    if "\x00" in text:
        raise exceptions.ValidationError({"instruments": ["Null characters are not allowed."]})
    return keys


class QuotesView(ApiView):
    """`GET /quotes/`."""

    @extend_schema(
        operation_id="get_quotes",
        summary="Quotes of up to 500 instruments",
        parameters=[
            OpenApiParameter(
                "instruments",
                {"type": "string", "minLength": 1},
                required=True,
                description="Keys, comma-separated.",
            ),
            FIELDS,
        ],
        responses=QuotesOutput,
    )
    def get(self, request: Request) -> Response:
        """From the live board, else the last known price, each with its source and age."""
        keys = instrument_keys(request.query_params.get("instruments", ""))
        found = selectors.quotes(keys, clock.now())
        wanted = self.sparse()
        return Response(
            {"data": {key: reduced(render(quote), wanted) for key, quote in found.items()}}
        )


class LevelOutput(serializers.Serializer[Any]):
    price = Price()
    quantity = serializers.IntegerField()


class DepthOutput(serializers.Serializer[Any]):
    bids = LevelOutput(many=True, help_text="Up to five, best first.")
    asks = LevelOutput(many=True)


class DepthView(ApiView):
    """`GET /instruments/{key}/depth/`."""

    @extend_schema(
        operation_id="get_depth",
        summary="Market depth of one instrument",
        responses=DepthOutput,
    )
    def get(self, request: Request, key: str) -> Response:
        """Five levels a side; empty when the feed carries no book of this instrument."""
        selectors.instrument(key)
        sides = selectors.depth(key)
        return Response(
            {
                side: [
                    {"price": price_text(price), "quantity": quantity}
                    for price, quantity in sides[side]
                ]
                for side in ("bids", "asks")
            }
        )


class MarketStatusOutput(serializers.Serializer[Any]):
    source = serializers.CharField(help_text="simulated, replay or upstox.")  # type: ignore[assignment]
    source_label = serializers.CharField()
    status = serializers.ChoiceField(["live", "delayed", "closed", "disconnected"])
    message = serializers.CharField()
    phase = serializers.DictField(
        child=serializers.CharField(), help_text="Phase by market segment."
    )
    as_of = Instant(allow_null=True, help_text="Receipt of the newest price.")
    next_open = Instant(allow_null=True)
    server_time = Instant()


class MarketStatusView(ApiView):
    """`GET /market/status/`."""

    @extend_schema(
        operation_id="get_market_status",
        summary="Whether prices are live, and the phase of each segment",
        responses=MarketStatusOutput,
    )
    def get(self, request: Request) -> Response:
        """Source, status, phases and the next opening."""
        at = clock.now()
        status = selectors.market_status(at=at)
        return Response(
            {
                "source": status["source"],
                "source_label": status["source_label"],
                "status": status["status"],
                "message": status["message"],
                "phase": status["phases"],
                "as_of": status["as_of"],
                "next_open": status["next_open"],
                "server_time": at,
            }
        )
