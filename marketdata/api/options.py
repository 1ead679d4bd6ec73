"""Option chains and what they say."""

import dataclasses
import math
from datetime import date
from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors
from marketdata.api import instruments
from marketdata.models import Instrument
from marketdata.options import selectors as chains
from marketdata.options.chain import Chain, Side
from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, Price, price_text
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from mockmarket.core.errors import NotFound


class ChainQuery(serializers.Serializer[Any]):
    expiry = serializers.DateField(required=False, help_text="The nearest, if left out.")


class ExpiriesOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    expiries = serializers.ListField(child=serializers.DateField())


class LegOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField(help_text="Empty: this strike has no such contract.")
    last_price = Price(allow_null=True)
    previous_close = Price(allow_null=True)
    bid = Price(allow_null=True)
    ask = Price(allow_null=True)
    volume = serializers.FloatField(allow_null=True)
    price_at = Instant(allow_null=True, help_text="Exchange time of prices and volume.")
    open_interest = serializers.FloatField(allow_null=True, help_text="Units of the underlying.")
    previous_open_interest = serializers.FloatField(allow_null=True)
    volatility = serializers.FloatField(allow_null=True, help_text="A fraction a year.")
    delta = serializers.FloatField(allow_null=True)
    gamma = serializers.FloatField(allow_null=True)
    theta = serializers.FloatField(allow_null=True, help_text="Rupees a day.")
    vega = serializers.FloatField(allow_null=True, help_text="Rupees a point.")


class StrikeOutput(serializers.Serializer[Any]):
    strike = Price()
    call = LegOutput()
    put = LegOutput()


class ChainOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    expiry = serializers.DateField()
    spot = Price(allow_null=True)
    lot_size = serializers.IntegerField()
    interest_at = Instant(allow_null=True, help_text="When open interest was swept.")
    strikes = StrikeOutput(many=True)


class AnalysisOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    expiry = serializers.DateField()
    spot = Price(allow_null=True)
    put_call_ratio_interest = serializers.FloatField(allow_null=True)
    put_call_ratio_volume = serializers.FloatField(allow_null=True)
    max_pain = serializers.FloatField(allow_null=True)
    volatility = serializers.FloatField(allow_null=True)
    volatility_rank = serializers.FloatField(allow_null=True)
    volatility_percentile = serializers.FloatField(allow_null=True)
    history_days = serializers.IntegerField(help_text="Closes behind rank and percentile.")
    gamma_exposure_total = serializers.FloatField(allow_null=True)
    gamma_flip = serializers.FloatField(allow_null=True)
    skew = serializers.DictField(child=serializers.FloatField(allow_null=True))
    expected_move = serializers.DictField(child=serializers.FloatField(allow_null=True))
    in_the_money = serializers.DictField(child=serializers.FloatField(allow_null=True))
    blast = serializers.DictField(child=serializers.FloatField(allow_null=True), allow_null=True)
    blast_record = serializers.DictField(
        child=serializers.FloatField(allow_null=True),
        help_text="How such forecasts have come out here.",
    )
    interest_at = Instant(allow_null=True)


@method_decorator(conditional_page, name="dispatch")
class UnderlyingsView(ApiView):
    """`GET /options/underlyings/`."""

    @extend_schema(
        operation_id="list_option_underlyings",
        summary="Everything with listed options",
        parameters=PAGED,
        responses=page_serializer(instruments.InstrumentOutput),
    )
    def get(self, request: Request) -> Response:
        """Indices first. Answers carry an ETag."""
        return self.page_items(items=chains.underlyings(), render=instruments.render)


class ExpiriesView(ApiView):
    """`GET /options/{key}/`."""

    @extend_schema(
        operation_id="list_option_expiries",
        summary="Expiries of an underlying",
        responses=ExpiriesOutput,
    )
    def get(self, request: Request, key: str) -> Response:
        """From today on, nearest first."""
        underlying = selectors.instrument(key)
        return Response(
            {
                "instrument_key": key,
                "symbol": underlying.symbol,
                "expiries": chains.expiries(underlying=underlying, at=clock.now()),
            }
        )


class _OneChain(ApiView):
    def chain(self, key: str) -> tuple[Instrument, Chain]:
        """By `?expiry=`; raises UnknownInstrument, NoOptions, NoSuchChain."""
        underlying = selectors.instrument(key)
        expiry: date | None = self.read(ChainQuery, source="query").get("expiry")
        return underlying, nearest_chain(underlying, expiry)


def nearest_chain(underlying: Instrument, expiry: date | None) -> Chain:
    """The live chain of an expiry; None is the nearest. Raises NoOptions, NoSuchChain."""
    at = clock.now()
    if expiry is None:
        listed = chains.expiries(underlying=underlying, at=at)
        if not listed:
            raise NoOptions(f"{underlying.symbol} has no listed options.")
        expiry = listed[0]
    return chains.live_chain(underlying=underlying, expiry_date=expiry, at=at)


class NoOptions(NotFound):
    """The instrument has no options."""

    code = "unknown_option_chain"


class ChainView(_OneChain):
    """`GET /options/{key}/chain/`."""

    @extend_schema(
        operation_id="get_option_chain",
        summary="An option chain",
        parameters=[ChainQuery],
        responses=ChainOutput,
    )
    def get(self, request: Request, key: str) -> Response:
        """Prices live from ticks; open interest as last swept; Greeks derived from both."""
        _, chain = self.chain(key)
        return Response(
            {
                "instrument_key": key,
                "expiry": chain.expiry_date,
                "spot": _price(chain.spot),
                "lot_size": chain.lot_size,
                "interest_at": chain.interest_at,
                "strikes": [
                    {
                        "strike": price_text(float(strike)),
                        "call": _leg(chain.calls, row),
                        "put": _leg(chain.puts, row),
                    }
                    for row, strike in enumerate(chain.strikes)
                ],
            }
        )


class AnalysisView(_OneChain):
    """`GET /options/{key}/analytics/`."""

    @extend_schema(
        operation_id="get_option_analytics",
        summary="What an option chain says",
        parameters=[ChainQuery],
        responses=AnalysisOutput,
    )
    def get(self, request: Request, key: str) -> Response:
        """Ratios, max pain, skew, gamma exposure, and the blast figure with its record."""
        underlying, chain = self.chain(key)
        found = chains.analysis(underlying=underlying, chain=chain, at=clock.now())
        body = {
            field.name: _plain(getattr(found, field.name)) for field in dataclasses.fields(found)
        }
        body.update(
            instrument_key=key,
            expiry=chain.expiry_date,
            spot=_price(found.spot),
            interest_at=found.interest_at,
        )
        return Response({name: body[name] for name in AnalysisOutput().fields.keys()})  # noqa: SIM118


_LEG_PRICES = ("last_price", "previous_close", "bid", "ask")
_LEG_NUMBERS = (
    "volume",
    "open_interest",
    "previous_open_interest",
    "volatility",
    "delta",
    "gamma",
    "theta",
    "vega",
)


def _leg(side: Side, row: int) -> dict[str, Any]:
    price_ms = _number(float(side.price_ms[row]))
    leg: dict[str, Any] = {
        "instrument_key": side.keys[row],
        "price_at": None if price_ms is None else clock.from_ms(round(price_ms)),
    }
    leg.update((name, _price(float(getattr(side, name)[row]))) for name in _LEG_PRICES)
    leg.update((name, _number(float(getattr(side, name)[row]))) for name in _LEG_NUMBERS)
    return leg


def _price(value: float) -> str | None:
    return price_text(value) if math.isfinite(value) and value > 0 else None


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    return _number(value) if isinstance(value, float) else value
