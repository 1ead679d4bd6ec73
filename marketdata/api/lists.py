"""Indices, movers, breadth and sectors."""

from typing import Any, cast

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import movers as ranking
from marketdata import selectors
from marketdata.api import quotes
from mockmarket.core import clock
from mockmarket.core.api.fields import Percent
from mockmarket.core.api.views import ApiView


class ListedOutput(quotes.QuoteOutput):
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    sector = serializers.CharField()


class ListOutput(serializers.Serializer[Any]):
    results = ListedOutput(many=True)


def render(row: selectors.Listed) -> dict[str, Any]:
    """An instrument with its quote, in one object."""
    return {
        "instrument_key": row.instrument.key,
        "symbol": row.instrument.symbol,
        "name": row.instrument.name,
        "sector": row.instrument.sector,
        **quotes.render(row.quote),
    }


class IndicesView(ApiView):
    """`GET /indices/`."""

    @extend_schema(
        operation_id="list_indices", summary="The nine indices of the strip", responses=ListOutput
    )
    def get(self, request: Request) -> Response:
        """In the order of the strip, with quotes."""
        return Response({"results": [render(row) for row in selectors.indices(clock.now())]})


class MoversQuery(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(ranking.KINDS, default="gainers")
    limit = serializers.IntegerField(default=10, min_value=1, max_value=100)


class MoversView(ApiView):
    """`GET /movers/`."""

    @extend_schema(
        operation_id="list_movers",
        summary="Gainers, losers, most active",
        parameters=[MoversQuery],
        responses=ListOutput,
    )
    def get(self, request: Request) -> Response:
        """Of the listed universe, strongest first."""
        given = self.read(MoversQuery, source="query")
        found = selectors.movers(
            kind=cast("ranking.Kind", given["kind"]), at=clock.now(), limit=given["limit"]
        )
        return Response({"results": [render(row) for row in found]})


class BreadthOutput(serializers.Serializer[Any]):
    advances = serializers.IntegerField()
    declines = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    at_high = serializers.IntegerField(help_text="Shares at the day's high.")
    at_low = serializers.IntegerField()
    median_change_percent = Percent(allow_null=True)


class BreadthView(ApiView):
    """`GET /breadth/`."""

    @extend_schema(
        operation_id="get_breadth", summary="Advances and declines", responses=BreadthOutput
    )
    def get(self, request: Request) -> Response:
        """Of the listed universe."""
        found = selectors.breadth()
        return Response(
            {
                "advances": found.advances,
                "declines": found.declines,
                "unchanged": found.unchanged,
                "at_high": found.at_high,
                "at_low": found.at_low,
                "median_change_percent": percent_text(found.median_change_percent),
            }
        )


class SectorOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    change_percent = Percent(allow_null=True, help_text="Weighted by turnover.")
    advances = serializers.IntegerField()
    declines = serializers.IntegerField()
    turnover = serializers.CharField(help_text="Rupees traded today.")
    members = serializers.ListField(
        child=serializers.CharField(), help_text="Instrument keys, best first."
    )


class SectorsOutput(serializers.Serializer[Any]):
    results = SectorOutput(many=True)


class SectorsView(ApiView):
    """`GET /sectors/`."""

    @extend_schema(
        operation_id="list_sectors", summary="Sectors and their members", responses=SectorsOutput
    )
    def get(self, request: Request) -> Response:
        """Best first; quotes of the members are at /quotes/."""
        found = selectors.sectors(at=clock.now())
        return Response(
            {
                "results": [
                    {
                        "name": sector.name,
                        "change_percent": percent_text(sector.change_percent),
                        "advances": sector.advances,
                        "declines": sector.declines,
                        "turnover": f"{sector.turnover:.2f}",
                        "members": [row.instrument.key for row in sector.members],
                    }
                    for sector in found
                ]
            }
        )


def percent_text(value: float | None) -> str | None:
    """A percentage of the columns as text; unknown (NaN) is None."""
    return None if value is None or value != value else f"{value:.2f}"
