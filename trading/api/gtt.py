"""Good-till-triggered instructions, one-cancels-the-other pairs and brackets."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import django_filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock, records
from mockmarket.core.api import filters
from mockmarket.core.api.fields import Instant, Price, RequestSerializer, price_text
from mockmarket.core.api.idempotency import derived_id, derived_uuid, idempotent
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios.api.portfolio import ContestQuery, PortfolioView
from portfolios.models import Position
from trading import drafts, gtt
from trading.api import orders
from trading.models import Gtt, Order


class TriggerInput(RequestSerializer):
    trigger = Price()
    price = Price(default=None, allow_null=True, help_text="Limit; left out: by market.")


class GttInput(RequestSerializer):
    instrument_key = serializers.CharField(max_length=64)
    side = orders.Side(max_length=10)
    quantity = orders.Quantity()
    product = orders.Product(default="CNC", max_length=10)
    lower = TriggerInput(default=None, allow_null=True, help_text="Fires at or below its trigger.")
    upper = TriggerInput(default=None, allow_null=True, help_text="Fires at or above its trigger.")
    contest = serializers.CharField(default=None, allow_null=True, max_length=80)


class BracketInput(orders.OrderInput):
    stop = TriggerInput(help_text="Closes at a loss.")
    target = TriggerInput(help_text="Closes at a profit.")


class TriggerOutput(serializers.Serializer[Any]):
    trigger = Price()
    price = Price(allow_null=True)


class GttOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    contest = serializers.CharField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(Order.Side.choices)
    product = serializers.ChoiceField(Position.Product.choices)
    quantity = serializers.IntegerField()
    lower = TriggerOutput(allow_null=True)
    upper = TriggerOutput(allow_null=True)
    status = serializers.ChoiceField(Gtt.Status.choices)
    status_reason = serializers.CharField(help_text="Why it stands as it does, in English.")
    status_reason_code = serializers.CharField(help_text="The same as a stable code.")
    status_reason_values = serializers.DictField(child=serializers.CharField())
    fired_leg = serializers.CharField(help_text="LOWER, UPPER, or empty.")
    order_id = serializers.UUIDField(allow_null=True, help_text="Of the order that it placed.")
    entry_order_id = serializers.UUIDField(allow_null=True, help_text="Of a bracket's entry.")
    created_at = Instant()
    updated_at = Instant()
    expires_at = Instant()


class BracketOutput(serializers.Serializer[Any]):
    order = orders.OrderOutput()
    gtt = GttOutput()


def render(row: Gtt) -> Mapping[str, Any]:
    """An instruction as the API shows it. Needs its instrument and its portfolio's contest."""
    return {
        "id": row.pk,
        "contest": row.portfolio.contest.slug,
        "instrument_key": row.instrument.key,
        "symbol": row.instrument.symbol,
        "side": row.side,
        "product": row.product,
        "quantity": row.quantity,
        "lower": _leg_body(row.lower_trigger, row.lower_price),
        "upper": _leg_body(row.upper_trigger, row.upper_price),
        "status": row.status,
        **records.told(row.status_reason, "status_reason"),
        "fired_leg": row.fired_leg,
        "order_id": row.order_id,
        "entry_order_id": row.entry_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "expires_at": row.expires_at,
    }


def _leg_body(trigger: Decimal | None, price: Decimal | None) -> dict[str, str | None] | None:
    if trigger is None:
        return None
    return {"trigger": price_text(trigger), "price": price_text(price)}


def _leg(given: Mapping[str, Any] | None) -> gtt.Leg | None:
    return None if given is None else gtt.Leg(trigger=given["trigger"], price=given["price"])


class GttFilters(django_filters.FilterSet):  # type: ignore[misc]
    status = django_filters.ChoiceFilter(choices=Gtt.Status.choices)
    instrument = django_filters.CharFilter(
        field_name="instrument__key", max_length=64, help_text="Instrument key."
    )


class GttsView(PortfolioView):
    """`GET, POST /gtt/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="list_gtt",
        summary="The caller's instructions",
        parameters=[ContestQuery, *filters.parameters(GttFilters), *PAGED],
        responses=page_serializer(GttOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first, those that ended included."""
        rows = filters.apply(
            filters=GttFilters, request=request, queryset=gtt.gtts(portfolio=self.portfolio())
        )
        return self.page(queryset=rows, ordering="-created_at", render=render)

    @extend_schema(
        operation_id="place_gtt",
        summary="Place an order when the price gets there",
        request=GttInput,
        responses={201: GttOutput},
        examples=[
            OpenApiExample(
                "one cancels the other: take a profit or limit a loss",
                {
                    "instrument_key": "NSE_EQ|INE002A01018",
                    "side": "SELL",
                    "quantity": 10,
                    "lower": {"trigger": "2300.00"},
                    "upper": {"trigger": "2600.00", "price": "2598.00"},
                },
                request_only=True,
            )
        ],
    )
    @idempotent(durable=True)
    def post(self, request: Request) -> Response:
        """One leg, or two of which the first to be reached cancels the other. Holds no cash."""
        given = self.read(GttInput)
        made = gtt.place_gtt(
            user=self.caller,
            contest=given["contest"] or None,
            draft=gtt.GttDraft(
                instrument_key=given["instrument_key"],
                side=given["side"],
                quantity=given["quantity"],
                product=given["product"],
                lower=_leg(given["lower"]),
                upper=_leg(given["upper"]),
            ),
            gtt_id=derived_uuid(request),
            at=clock.now(),
        )
        return Response(render(made), status=201)


class GttView(ApiView):
    """`GET, DELETE /gtt/{id}/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="get_gtt",
        summary="One instruction",
        parameters=[FIELDS],
        responses=GttOutput,
    )
    def get(self, request: Request, gtt_id: uuid.UUID) -> Response:
        """Its present state, with the order that it placed."""
        return self.one(render(gtt.access_gtt(user=self.caller, gtt_id=gtt_id)))

    @extend_schema(
        operation_id="cancel_gtt", summary="Cancel an instruction", responses={200: GttOutput}
    )
    def delete(self, request: Request, gtt_id: uuid.UUID) -> Response:
        """The price is no longer watched; an order that it placed stays."""
        return Response(render(gtt.cancel_gtt(user=self.caller, gtt_id=gtt_id, at=clock.now())))


class BracketsView(ApiView):
    """`POST /brackets/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="place_bracket",
        summary="An entry with a stop and a target",
        request=BracketInput,
        responses={201: BracketOutput},
        examples=[
            OpenApiExample(
                "buy, and close at a profit or a loss",
                {
                    "instrument_key": "NSE_EQ|INE002A01018",
                    "side": "BUY",
                    "quantity": 10,
                    "product": "MIS",
                    "stop": {"trigger": "2400.00"},
                    "target": {"trigger": "2500.00"},
                },
                request_only=True,
            )
        ],
    )
    @idempotent(durable=True)
    def post(self, request: Request) -> Response:
        """Stop and target watch from the entry's first fill; when one fires the other ends."""
        given = self.read(BracketInput)
        contest = given.pop("contest") or None
        stop, target = _leg(given.pop("stop")), _leg(given.pop("target"))
        assert stop is not None and target is not None, "both are required"  # noqa: PT018
        given["client_order_id"] = given["client_order_id"] or derived_id(request)
        order, made = gtt.place_bracket(
            user=self.caller,
            contest=contest,
            entry=drafts.OrderDraft(**given),
            stop=stop,
            target=target,
            at=clock.now(),
        )
        return Response({"order": orders.render(order), "gtt": render(made)}, status=201)
