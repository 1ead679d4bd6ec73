"""What the research pages show: analysis, comparison, the screen, an index's members."""

import math
from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import research, selectors
from marketdata.analysis import Finding
from marketdata.api import quotes
from marketdata.api.news import NotMeasured
from mockmarket.core import clock
from mockmarket.core.api.fields import Instant
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView

TOO_MANY = f"At most {research.COMPARED_MAX} keys."


class FindingOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    value = serializers.FloatField(allow_null=True)
    unit = serializers.CharField(help_text="percent, rupees, or empty.")
    reading = serializers.CharField(help_text="above, overbought, …; empty: none.")


class ShareAnalysisOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    trend = FindingOutput(many=True)
    momentum = FindingOutput(many=True)
    volatility = FindingOutput(many=True)
    levels = FindingOutput(many=True)
    relative = FindingOutput(many=True)


class ComparedOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    returns = serializers.DictField(
        child=serializers.FloatField(allow_null=True), help_text="Percent over 1w, 1m, 3m, 1y."
    )
    volatility = serializers.FloatField(allow_null=True)
    beta = serializers.FloatField(allow_null=True)
    drawdown = serializers.FloatField(allow_null=True)
    points = serializers.ListField(
        child=serializers.ListField(), help_text="[day, percent since the first common day]."
    )


class ComparisonOutput(serializers.Serializer[Any]):
    results = ComparedOutput(many=True)


class PickOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    lead = serializers.FloatField(help_text="Over the NIFTY 50 in 63 sessions, percent.")
    rsi = serializers.FloatField()
    above = serializers.FloatField(help_text="Over its slow mean, percent.")


class RecordOutput(serializers.Serializer[Any]):
    listings = serializers.IntegerField()
    hits = serializers.IntegerField(help_text="Beat the NIFTY 50 over the following 20 sessions.")
    hit_rate = serializers.FloatField(allow_null=True)
    share_return = serializers.FloatField()
    market_return = serializers.FloatField()
    days = serializers.IntegerField()


class ScreenOutput(serializers.Serializer[Any]):
    as_of = Instant()
    since = Instant(help_text="The record begins here.")
    shares = serializers.IntegerField(help_text="How many were looked at.")
    picks = PickOutput(many=True)
    record = RecordOutput()


class MemberOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    weight = serializers.FloatField(help_text="Percent of the index.")


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _findings(found: tuple[Finding, ...]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "value": _known(one.value), "unit": one.unit, "reading": one.reading}
        for one in found
    ]


class AnalysisView(ApiView):
    """`GET /instruments/{key}/analysis/`."""

    @extend_schema(
        operation_id="get_analysis",
        summary="One share measured",
        responses=ShareAnalysisOutput,
    )
    def get(self, request: Request, key: str) -> Response:
        """Trend, momentum, volatility, levels, and against the NIFTY 50; no advice."""
        instrument = selectors.instrument(key)
        found = research.analyse(instrument=instrument, at=clock.now())
        if found is None:
            raise NotMeasured(f"{instrument.symbol} has too short a history.")
        groups = ("trend", "momentum", "volatility", "levels", "relative")
        body = {name: _findings(getattr(found, name)) for name in groups}
        return Response({"instrument_key": key, **body})


class CompareView(ApiView):
    """`GET /compare/`."""

    @extend_schema(
        operation_id="compare_instruments",
        summary="Up to five shares side by side",
        parameters=[
            OpenApiParameter(
                "instruments",
                {"type": "string", "minLength": 1},
                required=True,
                description=f"Up to {research.COMPARED_MAX} keys, comma-separated.",
            )
        ],
        responses=ComparisonOutput,
    )
    def get(self, request: Request) -> Response:
        """Returns, volatility, beta, drawdown, and the course from the first common day."""
        keys = quotes.instrument_keys(request.query_params.get("instruments", ""))
        if len(keys) > research.COMPARED_MAX:
            raise serializers.ValidationError({"instruments": [TOO_MANY]})
        chosen = [selectors.instrument(key) for key in keys]
        found = research.compare(instruments=chosen, at=clock.now())
        return Response(
            {
                "results": [
                    {
                        "instrument_key": one.row.key,
                        "symbol": one.row.symbol,
                        "returns": {name: _known(value) for name, value in one.returns.items()},
                        "volatility": _known(one.volatility),
                        "beta": _known(one.beta),
                        "drawdown": _known(one.drawdown),
                        "points": one.points,
                    }
                    for one in found
                ]
            }
        )


class ScreenView(ApiView):
    """`GET /screen/`."""

    @extend_schema(
        operation_id="get_screen",
        summary="The screen's list, with its record",
        responses=ScreenOutput,
    )
    def get(self, request: Request) -> Response:
        """Made once a day from the last close; the guide of the page states the rules."""
        found = research.screen(at=clock.now())
        if found is None:
            raise NotMeasured("The first list has not been made yet.")
        return Response(
            {
                "as_of": found["as_of"],
                "since": found["since"],
                "shares": found["shares"],
                "picks": [
                    {
                        "instrument_key": pick["key"],
                        **{name: pick[name] for name in ("lead", "rsi", "above")},
                    }
                    for pick in found["picks"]
                ],
                "record": {name: found["record"][name] for name in RecordOutput().fields.keys()},  # noqa: SIM118
            }
        )


@method_decorator(conditional_page, name="dispatch")
class IndexMembersView(ApiView):
    """`GET /indices/{key}/members/`."""

    @extend_schema(
        operation_id="list_index_members",
        summary="Shares of an index with their weights",
        parameters=PAGED,
        responses=page_serializer(MemberOutput),
    )
    def get(self, request: Request, key: str) -> Response:
        """Heaviest first; empty where the constituents are not known. Carries an ETag."""
        if not selectors.instrument(key).segment.endswith("_INDEX"):
            raise selectors.UnknownInstrument(f"{key!r} is no index.")
        weights = selectors.members(key)
        return self.page_items(
            items=sorted(weights.items(), key=lambda item: (-item[1], item[0])),
            render=lambda item: {"instrument_key": item[0], "weight": item[1]},
        )
