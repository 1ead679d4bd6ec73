"""Why the portfolio stands where it stands, and practice afresh."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, Money, Percent, Price, price_text
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios.api.contests import MembershipOutput, render_membership
from portfolios.api.portfolio import ContestQuery, CurveQuery, PortfolioView
from portfolios.performance import Trip
from trading import practice, reports


class TripOutput(serializers.Serializer[Any]):
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    sector = serializers.CharField()
    product = serializers.CharField()
    quantity = serializers.IntegerField(help_text="Negative: short.")
    opened_at = Instant()
    closed_at = Instant(allow_null=True, help_text="Null: still open.")
    entry_price = Price()
    exit_price = Price(help_text="The newest price while open.")
    pnl = Money(help_text="Before charges.")


class SectorPartOutput(serializers.Serializer[Any]):
    sector = serializers.CharField()
    pnl = Money()
    trips = serializers.IntegerField()


class AttributionOutput(serializers.Serializer[Any]):
    market = Money(help_text="What NIFTY 50 would have made over the same trips.")
    selection = Money(help_text="What the choice of shares added.")


class HabitOutput(serializers.Serializer[Any]):
    gains_realised_percent = serializers.FloatField()
    losses_realised_percent = serializers.FloatField()
    effect = serializers.FloatField(help_text="Above zero: winners are sold sooner.")


class PerformanceOutput(serializers.Serializer[Any]):
    equity = Money()
    paid_in = Money()
    return_percent = Percent()
    time_weighted_percent = serializers.FloatField(allow_null=True)
    drawdown_percent = serializers.FloatField(allow_null=True)
    benchmark_equity = Money(allow_null=True, help_text="The same cash in NIFTY 50.")
    benchmark_percent = serializers.FloatField(allow_null=True)
    fills = serializers.IntegerField()
    turnover = Money()
    charges = Money()
    charges_percent = serializers.FloatField(allow_null=True, help_text="Of the turnover.")
    realised_fifo = Money()
    unrealised_fifo = Money()
    closed_trips = serializers.IntegerField()
    open_trips = serializers.IntegerField()
    win_rate = serializers.FloatField(allow_null=True)
    holding_hours = serializers.FloatField(allow_null=True)
    winners_hours = serializers.FloatField(allow_null=True)
    losers_hours = serializers.FloatField(allow_null=True)
    best = TripOutput(many=True)
    worst = TripOutput(many=True)
    sectors = SectorPartOutput(many=True)
    attribution = AttributionOutput(allow_null=True)
    habit = HabitOutput(allow_null=True)


class PerformancePointOutput(serializers.Serializer[Any]):
    taken_at = Instant()
    equity = Money()
    benchmark = Money(allow_null=True, help_text="The same cash in NIFTY 50.")


def render_trip(row: Trip) -> Mapping[str, Any]:
    """A FIFO lot from its opening to its closing."""
    return {
        "instrument_key": row.instrument_key,
        "symbol": row.symbol,
        "sector": row.sector,
        "product": row.product,
        "quantity": row.quantity,
        "opened_at": row.opened_at,
        "closed_at": row.closed_at,
        "entry_price": price_text(row.entry_price),
        "exit_price": price_text(row.exit_price),
        "pnl": f"{row.pnl:.2f}",
    }


def render(found: reports.Report) -> Mapping[str, Any]:
    """The report and its review, in one object."""
    body = {
        **_plain(found, leave_out={"review"}),
        **_plain(found.review, leave_out={"best", "worst", "sectors", "attribution", "habit"}),
        "best": [render_trip(trip) for trip in found.review.best],
        "worst": [render_trip(trip) for trip in found.review.worst],
        "sectors": [_plain(part) for part in found.review.sectors],
        "attribution": found.review.attribution and _plain(found.review.attribution),
        "habit": found.review.habit and _plain(found.review.habit),
    }
    body["return_percent"] = f"{found.return_percent:.4f}"
    return body


def _plain(row: Any, *, leave_out: set[str] | frozenset[str] = frozenset()) -> dict[str, Any]:
    values = {
        field.name: getattr(row, field.name)
        for field in dataclasses.fields(row)
        if field.name not in leave_out
    }
    return {
        name: f"{value:.2f}" if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


class PerformanceView(PortfolioView):
    """`GET /performance/`."""

    @extend_schema(
        operation_id="get_performance",
        summary="Why the portfolio stands where it stands",
        parameters=[ContestQuery, FIELDS],
        responses=PerformanceOutput,
    )
    def get(self, request: Request) -> Response:
        """Returns beside NIFTY 50, costs, trips, sectors, and the disposition effect."""
        basis = reports.basis(portfolio=self.portfolio(), at=clock.now())
        return self.one(render(reports.report(basis)))


class PerformanceCurveView(PortfolioView):
    """`GET /performance/curve/`."""

    @extend_schema(
        operation_id="list_performance_curve",
        summary="Equity beside the same cash in NIFTY 50",
        parameters=[CurveQuery, *PAGED],
        responses=page_serializer(PerformancePointOutput),
    )
    def get(self, request: Request) -> Response:
        """Oldest first, ending now."""
        since: datetime | None = self.read(CurveQuery, source="query").get("since")
        basis = reports.basis(portfolio=self.portfolio(), at=clock.now())
        points = reports.curve(basis, since=since)
        return self.page_items(items=points, render=_point)


def _point(row: reports.CurvePoint) -> Mapping[str, Any]:
    return {
        "taken_at": row.taken_at,
        "equity": f"{row.equity:.2f}",
        "benchmark": None if row.benchmark is None else f"{row.benchmark:.2f}",
    }


class TripsView(PortfolioView):
    """`GET /performance/trips/`."""

    @extend_schema(
        operation_id="list_trips",
        summary="Trades from opening to closing",
        parameters=[ContestQuery, *PAGED],
        responses=page_serializer(TripOutput),
    )
    def get(self, request: Request) -> Response:
        """FIFO lots, the newest closed first."""
        trips = reports.trips(portfolio=self.portfolio(), at=clock.now())
        return self.page_items(items=trips, render=render_trip)


class PracticeResetView(ApiView):
    """`POST /practice/reset/`."""

    bucket = "orders"

    @extend_schema(
        operation_id="reset_practice",
        summary="Start practice afresh",
        request=None,
        responses={201: MembershipOutput},
    )
    @idempotent(durable=True)
    def post(self, request: Request) -> Response:
        """New starting cash; live orders are cancelled, the old books stay."""
        portfolio = practice.reset_practice(user=self.caller, at=clock.now())
        return Response(render_membership(portfolio), status=201)
