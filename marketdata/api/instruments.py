"""Instruments: search and one by its key."""

from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors
from marketdata.models import Instrument
from mockmarket.core.api.fields import Price, price_text
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView


class InstrumentQuery(serializers.Serializer[Any]):
    search = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=60,
        help_text="Start of a symbol, part of a name, or an ISIN.",
    )
    segment = serializers.CharField(
        default="", allow_blank=True, max_length=12, help_text="NSE_EQ, NSE_INDEX, …"
    )
    sector = serializers.CharField(default="", allow_blank=True, max_length=60)


class InstrumentOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    isin = serializers.CharField(help_text="Empty for an index or a contract.")
    exchange = serializers.CharField()
    segment = serializers.CharField()
    instrument_type = serializers.CharField()
    sector = serializers.CharField()
    tick_size = Price()
    lot_size = serializers.IntegerField()
    freeze_quantity = serializers.IntegerField(help_text="Most in one order; 0: no such limit.")
    halted = serializers.BooleanField()
    halt_reason = serializers.CharField()
    underlying_key = serializers.CharField(help_text="Of a contract, else empty.")
    expiry_date = serializers.DateField(allow_null=True)
    strike_price = Price(allow_null=True)


EXAMPLE = OpenApiExample(
    "share",
    {
        "instrument_key": "NSE_EQ|INE002A01018",
        "symbol": "RELIANCE",
        "name": "Reliance Industries",
        "isin": "INE002A01018",
        "exchange": "NSE",
        "segment": "NSE_EQ",
        "instrument_type": "EQ",
        "sector": "Energy",
        "tick_size": "0.10",
        "lot_size": 1,
        "freeze_quantity": 0,
        "halted": False,
        "halt_reason": "",
        "underlying_key": "",
        "expiry_date": None,
        "strike_price": None,
    },
    response_only=True,
)


def render(row: Instrument) -> dict[str, Any]:
    """An instrument as the API shows it."""
    return {
        "instrument_key": row.key,
        "symbol": row.symbol,
        "name": row.name,
        "isin": row.isin,
        "exchange": row.exchange,
        "segment": row.segment,
        "instrument_type": row.instrument_type,
        "sector": row.sector,
        "tick_size": price_text(row.tick_size),
        "lot_size": row.lot_size,
        "freeze_quantity": row.freeze_quantity,
        "halted": row.halted,
        "halt_reason": row.halt_reason,
        "underlying_key": row.underlying_key,
        "expiry_date": row.expiry_date,
        "strike_price": price_text(row.strike_price),
    }


@method_decorator(conditional_page, name="dispatch")
class InstrumentsView(ApiView):
    """`GET /instruments/`."""

    @extend_schema(
        operation_id="list_instruments",
        summary="Search instruments",
        parameters=[InstrumentQuery, *PAGED],
        responses=page_serializer(InstrumentOutput),
    )
    def get(self, request: Request) -> Response:
        """Active instruments by symbol. Answers carry an ETag."""
        given = self.read(InstrumentQuery, source="query")
        return self.page(queryset=selectors.instruments(**given), ordering="symbol", render=render)


@method_decorator(conditional_page, name="dispatch")
class InstrumentView(ApiView):
    """`GET /instruments/{key}/`."""

    @extend_schema(
        operation_id="get_instrument",
        summary="One instrument",
        parameters=[FIELDS],
        responses=InstrumentOutput,
        examples=[EXAMPLE],
    )
    def get(self, request: Request, key: str) -> Response:
        """By its key, for example `NSE_EQ|INE002A01018`."""
        return self.one(render(selectors.instrument(key)))
