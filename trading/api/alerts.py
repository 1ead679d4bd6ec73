"""Alerts: what the caller wants to be told of, and what was told."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock, records
from mockmarket.core.api.fields import Instant, Price, RequestSerializer, price_text
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from trading import alerting, preparing
from trading.api.orders import word
from trading.models import Alert, AlertEvent

Kind = word(Alert.Kind.choices)


class AlertInput(RequestSerializer):
    instrument_key = serializers.CharField(max_length=64)
    kind = Kind(max_length=20)
    threshold = Price(
        default=Decimal(0), help_text="Rupees, percent or times; not for RANGE_BREAKOUT."
    )
    note = serializers.CharField(default="", allow_blank=True, max_length=alerting.NOTE_LENGTH_MAX)


class AlertOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    kind = serializers.ChoiceField(Alert.Kind.choices)
    threshold = Price()
    note = serializers.CharField()
    armed = serializers.BooleanField(help_text="False until the condition is false again.")
    fired_count = serializers.IntegerField()
    fired_at = Instant(allow_null=True)
    created_at = Instant()


class AlertEventOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    alert_id = serializers.IntegerField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    fired_at = Instant()
    price = Price()
    message = serializers.CharField(help_text="What happened, in English.")
    message_code = serializers.CharField(help_text="The same as a stable code.")
    message_values = serializers.DictField(child=serializers.CharField())


def render(row: Alert) -> Mapping[str, Any]:
    """An alert as the API shows it. Needs its instrument loaded."""
    return {
        "id": row.pk,
        "instrument_key": row.instrument.key,
        "symbol": row.instrument.symbol,
        "kind": row.kind,
        "threshold": price_text(row.threshold),
        "note": row.note,
        "armed": row.armed,
        "fired_count": row.fired_count,
        "fired_at": row.fired_at,
        "created_at": row.created_at,
    }


def render_event(row: AlertEvent) -> Mapping[str, Any]:
    """One firing. Needs its alert with the instrument loaded."""
    return {
        "id": row.pk,
        "alert_id": row.alert_id,
        "instrument_key": row.alert.instrument.key,
        "symbol": row.alert.instrument.symbol,
        "fired_at": row.fired_at,
        "price": price_text(row.price),
        **records.told(row.message, "message"),
    }


class AlertsView(ApiView):
    """`GET, POST /alerts/`."""

    @extend_schema(
        operation_id="list_alerts",
        summary="The caller's alerts",
        parameters=PAGED,
        responses=page_serializer(AlertOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows = alerting.alerts_of(user=self.caller)
        return self.page(queryset=rows, ordering="-id", render=render)

    @extend_schema(
        operation_id="create_alert",
        summary="Be told when something happens",
        request=AlertInput,
        responses={201: AlertOutput},
        examples=[
            OpenApiExample(
                "a price from below",
                {
                    "instrument_key": "NSE_EQ|INE002A01018",
                    "kind": "PRICE_ABOVE",
                    "threshold": "2600.00",
                    "note": "above the year's high",
                },
                request_only=True,
            )
        ],
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Told once for each crossing: on the stream, to webhooks and in the list of events."""
        given = self.read(AlertInput)
        instrument = preparing.named_instrument(given.pop("instrument_key"))
        made = alerting.create(user=self.caller, instrument=instrument, at=clock.now(), **given)
        return Response(render(made), status=201)


class AlertView(ApiView):
    """`GET, DELETE /alerts/{id}/`."""

    @extend_schema(
        operation_id="get_alert", summary="One alert", parameters=[FIELDS], responses=AlertOutput
    )
    def get(self, request: Request, alert_id: int) -> Response:
        """Its present state."""
        return self.one(render(alerting.access(user=self.caller, alert_id=alert_id)))

    @extend_schema(operation_id="delete_alert", summary="Delete an alert", responses={204: None})
    def delete(self, request: Request, alert_id: int) -> Response:
        """With what it reported."""
        alerting.remove(user=self.caller, alert_id=alert_id)
        return Response(status=204)


class AlertEventsView(ApiView):
    """`GET /alerts/events/`."""

    @extend_schema(
        operation_id="list_alert_events",
        summary="What the caller's alerts reported",
        parameters=PAGED,
        responses=page_serializer(AlertEventOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first, for thirty days."""
        rows = alerting.events_of(user=self.caller)
        return self.page(queryset=rows, ordering="-fired_at", render=render_event)
