"""The staff's operations page, for programs."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock
from mockmarket.core.api.fields import Instant
from mockmarket.core.api.views import ApiView
from mockmarket.core.errors import Forbidden
from trading import operations


class LineOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    value = serializers.CharField()
    state = serializers.ChoiceField(["ok", "warn", "bad"])
    remedy = serializers.CharField()


class GroupOutput(serializers.Serializer[Any]):
    title = serializers.CharField()
    lines = LineOutput(many=True)


class OperationsOutput(serializers.Serializer[Any]):
    as_of = Instant()
    bad = serializers.IntegerField(help_text="How many lines need a person.")
    groups = GroupOutput(many=True)


class OperationsView(ApiView):
    """`GET /operations/`."""

    @extend_schema(
        operation_id="get_operations",
        summary="How the system is (staff)",
        responses=OperationsOutput,
    )
    def get(self, request: Request) -> Response:
        """Feed, engine, stream, jobs, orders, stores and alarms; each bad line with its remedy."""
        if not self.caller.is_staff:
            raise Forbidden("The operations page is for staff.")
        at = clock.now()
        found = operations.groups(at=at)
        return Response(
            {
                "as_of": at,
                "bad": len(operations.red_lines(found)),
                "groups": [
                    {
                        "title": str(title),
                        "lines": [
                            {
                                "name": str(line.name),
                                "value": str(line.value),
                                "state": line.state,
                                "remedy": str(line.remedy),
                            }
                            for line in lines
                        ],
                    }
                    for title, lines in found
                ],
            }
        )
