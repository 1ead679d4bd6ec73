"""Trades: the caller's fills."""

import uuid
from collections.abc import Mapping
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import records
from mockmarket.core.api import filters
from mockmarket.core.api.fields import Instant, Money, Price, price_text
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios.api.portfolio import ContestQuery, PortfolioView
from portfolios.models import Position
from trading import selectors
from trading.models import Fill, Order


class TradeOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    order_id = serializers.UUIDField()
    contest = serializers.CharField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    side = serializers.ChoiceField(Order.Side.choices)
    product = serializers.ChoiceField(Position.Product.choices)
    quantity = serializers.IntegerField()
    price = Price()
    charges = Money()
    filled_at = Instant()


def render(row: Fill) -> Mapping[str, Any]:
    """A fill as the API shows it. Needs its order with instrument and contest loaded."""
    order = row.order
    return {
        "id": row.id,
        "order_id": order.id,
        "contest": order.portfolio.contest.slug,
        "instrument_key": order.instrument.key,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "product": order.product,
        "quantity": row.quantity,
        "price": price_text(row.price),
        "charges": f"{row.charges:.2f}",
        "filled_at": row.filled_at,
    }


class TradeFilters(django_filters.FilterSet):  # type: ignore[misc]
    side = django_filters.ChoiceFilter(field_name="order__side", choices=Order.Side.choices)
    instrument = django_filters.CharFilter(
        field_name="order__instrument__key", max_length=64, help_text="Instrument key."
    )
    since = django_filters.IsoDateTimeFilter(
        field_name="filled_at", lookup_expr="gte", help_text="ISO 8601."
    )
    until = django_filters.IsoDateTimeFilter(
        field_name="filled_at", lookup_expr="lt", help_text="ISO 8601, exclusive."
    )


class TradesView(PortfolioView):
    """`GET /trades/`."""

    @extend_schema(
        operation_id="list_trades",
        summary="The caller's fills",
        parameters=[ContestQuery, *filters.parameters(TradeFilters), *PAGED],
        responses=page_serializer(TradeOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows = filters.apply(
            filters=TradeFilters,
            request=request,
            queryset=selectors.fills(portfolio=self.portfolio()),
        )
        return self.page(queryset=rows, ordering="-filled_at", render=render)


class OrderTradesView(ApiView):
    """`GET /orders/{id}/trades/`."""

    @extend_schema(
        operation_id="list_order_trades",
        summary="The fills of one order",
        parameters=PAGED,
        responses=page_serializer(TradeOutput),
    )
    def get(self, request: Request, order_id: uuid.UUID) -> Response:
        """Oldest first."""
        order = selectors.order(user=self.caller, order_id=order_id)
        rows = selectors.fills_of_order(order=order).select_related("order__portfolio__contest")
        return self.page(queryset=rows, ordering="filled_at", render=render)


class RuleOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    values = serializers.DictField(child=serializers.CharField())


def _rule(step: str) -> Mapping[str, Any]:
    code, values = records.read(step)
    return {"code": code, "values": values}


class ExplanationOutput(TradeOutput):
    phase = serializers.CharField()
    rule_path = serializers.ListField(
        child=serializers.CharField(), help_text="The rules that led to this price, in order."
    )
    rules = RuleOutput(many=True, help_text="The same as stable codes with their values.")
    charge_lines = serializers.DictField(child=serializers.CharField())
    quote = serializers.DictField(help_text="The quote that it used: times, source, levels.")
    inputs = serializers.DictField(
        help_text="The order, the liquidity left and the settings: everything needed to derive "
        "the fill again."
    )


class TradeView(ApiView):
    """`GET /trades/{id}/`."""

    @extend_schema(
        operation_id="get_trade",
        summary="One fill and why it got its price",
        parameters=[FIELDS],
        responses=ExplanationOutput,
    )
    def get(self, request: Request, trade_id: uuid.UUID) -> Response:
        """The quote, the rules and the inputs that `manage.py verify_fills` derives it from."""
        fill = selectors.fill(user=self.caller, fill_id=trade_id)
        return self.one(
            {
                **render(fill),
                "phase": fill.phase,
                "rule_path": [records.english(step) for step in fill.rule_path],
                "rules": [_rule(step) for step in fill.rule_path],
                "charge_lines": {name: str(value) for name, value in fill.charge_lines.items()},
                "quote": fill.quote,
                "inputs": fill.inputs,
            }
        )
