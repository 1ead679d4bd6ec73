"""The caller's webhooks and what was sent to them."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock, webhooks
from mockmarket.core.api.fields import Instant, RequestSerializer
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from mockmarket.core.models import Webhook, WebhookDelivery


class WebhookInput(RequestSerializer):
    url = serializers.URLField(max_length=500, help_text="https; no private network.")
    events = serializers.ListField(
        child=serializers.ChoiceField([(name, name) for name in webhooks.EVENTS]),
        min_length=1,
        max_length=len(webhooks.EVENTS),
    )


class WebhookOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    url = serializers.CharField()
    events = serializers.ListField(child=serializers.CharField())
    active = serializers.BooleanField(help_text="False after too many failures in a row.")
    created_at = Instant()


class NewWebhookOutput(WebhookOutput):
    secret = serializers.CharField(help_text="Signs every delivery; shown here only.")


class DeliveryOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    seq = serializers.IntegerField()
    type = serializers.CharField()
    state = serializers.ChoiceField(WebhookDelivery.State.choices)
    attempts = serializers.IntegerField()
    status = serializers.IntegerField(allow_null=True)
    error = serializers.CharField()
    created_at = Instant()
    delivered_at = Instant(allow_null=True)
    next_attempt_at = Instant()


def render(row: Webhook) -> dict[str, Any]:
    """A webhook without its secret."""
    return {
        "id": row.pk,
        "url": row.url,
        "events": row.events,
        "active": row.active,
        "created_at": row.created_at,
    }


def render_delivery(row: WebhookDelivery) -> dict[str, Any]:
    """One line of the delivery log."""
    return {
        "id": row.pk,
        "seq": row.seq,
        "type": row.type,
        "state": row.state,
        "attempts": row.attempts,
        "status": row.status,
        "error": row.error,
        "created_at": row.created_at,
        "delivered_at": row.delivered_at,
        "next_attempt_at": row.next_attempt_at,
    }


class WebhooksView(ApiView):
    """`GET, POST /webhooks/`."""

    @extend_schema(
        operation_id="list_webhooks",
        summary="The caller's webhooks",
        parameters=PAGED,
        responses=page_serializer(WebhookOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        return self.page(
            queryset=webhooks.webhooks(user=self.caller), ordering="-id", render=render
        )

    @extend_schema(
        operation_id="create_webhook",
        summary="Be told of order and alert events",
        request=WebhookInput,
        responses={201: NewWebhookOutput},
    )
    @idempotent(secret=True)
    def post(self, request: Request) -> Response:
        """Events from now on are posted, signed, to the address."""
        row = webhooks.create(user=self.caller, at=clock.now(), **self.read(WebhookInput))
        return Response({**render(row), "secret": webhooks.secret(row)}, status=201)


class WebhookView(ApiView):
    """`GET, POST, DELETE /webhooks/{id}/`."""

    @extend_schema(operation_id="get_webhook", summary="One webhook", responses=WebhookOutput)
    def get(self, request: Request, webhook_id: int) -> Response:
        """Without its secret."""
        return Response(render(webhooks.access(user=self.caller, webhook_id=webhook_id)))

    @extend_schema(
        operation_id="resume_webhook",
        summary="Switch a webhook on again",
        request=None,
        responses={200: WebhookOutput},
    )
    def post(self, request: Request, webhook_id: int) -> Response:
        """After it was switched off; events of the meantime are not sent."""
        row = webhooks.access(user=self.caller, webhook_id=webhook_id)
        webhooks.resume(webhook=row)
        return Response(render(row))

    @extend_schema(operation_id="delete_webhook", summary="Delete a webhook", responses={204: None})
    def delete(self, request: Request, webhook_id: int) -> Response:
        """With its log."""
        webhooks.access(user=self.caller, webhook_id=webhook_id).delete()
        return Response(status=204)


class DeliveriesView(ApiView):
    """`GET /webhooks/{id}/deliveries/`."""

    @extend_schema(
        operation_id="list_webhook_deliveries",
        summary="What was sent, and what came of it",
        parameters=PAGED,
        responses=page_serializer(DeliveryOutput),
    )
    def get(self, request: Request, webhook_id: int) -> Response:
        """Newest first, for seven days."""
        row = webhooks.access(user=self.caller, webhook_id=webhook_id)
        return self.page(
            queryset=webhooks.deliveries(webhook=row), ordering="-id", render=render_delivery
        )
