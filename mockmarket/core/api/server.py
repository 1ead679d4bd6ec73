"""Whether the server can serve: the checks of /readyz, for programs."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket import __version__
from mockmarket.core import clock, health
from mockmarket.core.api.fields import Instant
from mockmarket.core.api.views import ApiView


class CheckOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    ok = serializers.BooleanField()
    message = serializers.CharField(help_text="Why not; empty when all is well.")


class ServerStatusOutput(serializers.Serializer[Any]):
    ready = serializers.BooleanField()
    version = serializers.CharField()
    server_time = Instant()
    checks = CheckOutput(many=True)


class ServerStatusView(ApiView):
    """`GET /server/status/`."""

    @extend_schema(
        operation_id="get_server_status",
        summary="Whether the server can serve",
        responses=ServerStatusOutput,
    )
    def get(self, request: Request) -> Response:
        """Database, migrations, Redis and market engine, each with what is wrong with it."""
        wrong = health.failures()
        return Response(
            {
                "ready": not wrong,
                "version": __version__,
                "server_time": clock.now(),
                "checks": [
                    {"name": name, "ok": name not in wrong, "message": wrong.get(name, "")}
                    for name in health.CHECKS
                ],
            }
        )
