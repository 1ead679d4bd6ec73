"""Candles of one instrument."""

from datetime import UTC, datetime, timedelta
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import history, selectors
from marketdata.candles import INTERVALS
from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, price_text
from mockmarket.core.api.views import ApiView

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(2100, 1, 1, tzinfo=UTC)
# What a request without `from` gets: a day of minutes, a year of days.
SPANS = {"1m": timedelta(days=1), "1d": timedelta(days=365)}
SPAN = timedelta(days=7)


def _in_reach(value: datetime) -> None:
    if not EARLIEST <= value <= LATEST:
        raise serializers.ValidationError("Between the years 2000 and 2100.")


# `from` is a keyword of Python, so the class is made by its parts.
CandlesQuery: type[serializers.Serializer[Any]] = type(
    "CandlesQuery",
    (serializers.Serializer,),
    {
        "__module__": __name__,
        "interval": serializers.CharField(
            default="1m", max_length=4, help_text=f"One of {', '.join(INTERVALS)}."
        ),
        "from": Instant(
            required=False,
            validators=[_in_reach],
            help_text="Inclusive; a day before `to`, if left out.",
        ),
        "to": Instant(
            required=False, validators=[_in_reach], help_text="Exclusive; now, if left out."
        ),
    },
)


@extend_schema_field(
    {
        "type": "array",
        "items": {
            "type": "array",
            "minItems": 6,
            "maxItems": 6,
            "items": {"type": ["string", "integer"]},
        },
    }
)
class Rows(serializers.ListField):
    """Rows of start, open, high, low, close, volume."""


class CandlesOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    interval = serializers.CharField()
    candles = Rows(help_text="[start, open, high, low, close, volume], oldest first.")


class CandlesView(ApiView):
    """`GET /instruments/{key}/candles/`."""

    @extend_schema(
        operation_id="get_candles",
        summary="Candles of one instrument",
        parameters=[CandlesQuery],
        responses=CandlesOutput,
        examples=[
            OpenApiExample(
                "two minutes",
                {
                    "instrument_key": "NSE_EQ|INE002A01018",
                    "interval": "1m",
                    "candles": [
                        ["2026-11-20T04:00:00Z", "2450.00", "2452.50", "2449.00", "2451.00", 12400],
                        ["2026-11-20T04:01:00Z", "2451.00", "2451.50", "2450.10", "2450.50", 8300],
                    ],
                },
                response_only=True,
            )
        ],
    )
    def get(self, request: Request, key: str) -> Response:
        """At most 10,000 rows, the newest; the last may still be forming."""
        given = self.read(CandlesQuery, source="query")
        at = clock.now()
        end = given.get("to") or at + timedelta(minutes=1)
        start = given.get("from") or max(EARLIEST, end - SPANS.get(given["interval"], SPAN))
        if start >= end:
            raise serializers.ValidationError({"from": ["Must be before `to`."]})
        rows = history.candles(
            instrument=selectors.instrument(key),
            interval=given["interval"],
            start=start,
            end=end,
            at=at,
        )
        return Response(
            {
                "instrument_key": key,
                "interval": given["interval"],
                "candles": [
                    [when, *(price_text(value) for value in prices), volume]
                    for when, *prices, volume in rows
                ],
            }
        )
