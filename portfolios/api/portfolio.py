"""The caller's portfolio: what it is worth, what it holds, and its books."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import django_filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock
from mockmarket.core.api import filters
from mockmarket.core.api.fields import Instant, Money, Percent, Price, price_text
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios import selectors
from portfolios.models import LedgerEntry, Portfolio, Position, Posting


class ContestQuery(serializers.Serializer[Any]):
    contest = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=80,
        help_text="Slug or id; left out, the practice contest.",
    )


class PortfolioView(ApiView):
    """Base of views that speak of one portfolio of the caller's."""

    def portfolio(self) -> Portfolio:
        """By `?contest=`; raises NoPortfolio."""
        given = self.read(ContestQuery, source="query")
        return selectors.access_portfolio(user=self.caller, contest=given["contest"] or None)


class SummaryOutput(serializers.Serializer[Any]):
    portfolio_id = serializers.IntegerField()
    contest = serializers.CharField(help_text="Slug.")
    contest_name = serializers.CharField()
    state = serializers.CharField(help_text="Of the contest.")
    cash = Money()
    reserved = Money(help_text="Part of cash that open orders hold.")
    buying_power = Money()
    invested = Money(
        help_text="Put down for what is held: its cost where paid in full, else its margin."
    )
    equity = Money()
    day_pnl = Money(
        help_text="Equity less equity at the last close, without cash paid in or taken out since."
    )
    realised_pnl = Money()
    unrealised_pnl = Money()
    charges = Money()
    return_percent = Percent()
    rank = serializers.IntegerField(allow_null=True, help_text="Null: not ranked yet.")
    of = serializers.IntegerField(help_text="How many are ranked.")
    snapshot_id = serializers.IntegerField(allow_null=True)
    as_of = Instant()


_SUMMARY_MONEY = (
    "cash",
    "reserved",
    "buying_power",
    "invested",
    "equity",
    "day_pnl",
    "realised_pnl",
    "unrealised_pnl",
    "charges",
)


class SummaryView(PortfolioView):
    """`GET /portfolio/`."""

    @extend_schema(
        operation_id="get_portfolio",
        summary="What the portfolio is worth",
        parameters=[ContestQuery, FIELDS],
        responses=SummaryOutput,
    )
    def get(self, request: Request) -> Response:
        """At the newest prices; the rank is that of the contest's newest snapshot."""
        found = selectors.portfolio_summary(portfolio=self.portfolio(), at=clock.now())
        body: dict[str, Any] = {
            field.name: getattr(found, field.name)
            for field in dataclasses.fields(found)
            if field.name != "positions"
        }
        body.update((name, f"{body[name]:.2f}") for name in _SUMMARY_MONEY)
        body["return_percent"] = f"{found.return_percent:.4f}"
        return self.one(body)


class PositionOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    instrument_key = serializers.CharField()
    symbol = serializers.CharField()
    name = serializers.CharField()
    sector = serializers.CharField()
    product = serializers.ChoiceField(Position.Product.choices)
    quantity = serializers.IntegerField(help_text="Negative: short.")
    settled_quantity = serializers.IntegerField()
    average_price = Price()
    last_price = Price()
    cost = Money()
    value = Money()
    unrealised_pnl = Money()
    day_pnl = Money(help_text="Since the last close, before charges and dividends.")
    realised_pnl = Money()
    charges = Money()
    opened_at = Instant()
    updated_at = Instant()


_POSITION_MONEY = ("cost", "value", "unrealised_pnl", "day_pnl", "realised_pnl", "charges")


def render_position(row: selectors.PositionView) -> Mapping[str, Any]:
    """A position as the API shows it."""
    body = dataclasses.asdict(row)
    body["average_price"] = price_text(row.average_price)
    body["last_price"] = price_text(row.last_price)
    body.update((name, f"{body[name]:.2f}") for name in _POSITION_MONEY)
    return body


class PositionsView(PortfolioView):
    """`GET /positions/`."""

    @extend_schema(
        operation_id="list_positions",
        summary="Open positions, and those that this session closed",
        parameters=[ContestQuery, *PAGED],
        responses=page_serializer(PositionOutput),
    )
    def get(self, request: Request) -> Response:
        """By symbol, at the newest prices."""
        rows = selectors.positions(portfolio=self.portfolio(), at=clock.now())
        return self.page_items(items=rows, render=render_position)


class HoldingsView(PortfolioView):
    """`GET /holdings/`."""

    @extend_schema(
        operation_id="list_holdings",
        summary="Delivery positions",
        parameters=[ContestQuery, *PAGED],
        responses=page_serializer(PositionOutput),
    )
    def get(self, request: Request) -> Response:
        """Settled or on their way: compare `settled_quantity` with `quantity`."""
        rows = selectors.holdings(portfolio=self.portfolio(), at=clock.now())
        return self.page_items(items=rows, render=render_position)


class LedgerFilters(django_filters.FilterSet):  # type: ignore[misc]
    kind = django_filters.ChoiceFilter(choices=LedgerEntry.Kind.choices)
    since = django_filters.IsoDateTimeFilter(
        field_name="occurred_at", lookup_expr="gte", help_text="ISO 8601."
    )
    until = django_filters.IsoDateTimeFilter(
        field_name="occurred_at", lookup_expr="lt", help_text="ISO 8601, exclusive."
    )


class PostingOutput(serializers.Serializer[Any]):
    account = serializers.ChoiceField(Posting.Account.choices)
    amount = Money(help_text="Positive: debit. The postings of an entry sum to zero.")


class LedgerEntryOutput(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    seq = serializers.IntegerField()
    kind = serializers.ChoiceField(LedgerEntry.Kind.choices)
    occurred_at = Instant()
    reference = serializers.CharField()
    description = serializers.CharField()
    postings = PostingOutput(many=True)


def render_entry(row: LedgerEntry) -> Mapping[str, Any]:
    """A ledger entry with its postings."""
    return {
        "id": row.id,
        "seq": row.seq,
        "kind": row.kind,
        "occurred_at": row.occurred_at,
        "reference": row.reference,
        "description": row.description,
        "postings": [
            {"account": posting.account, "amount": f"{posting.amount:.2f}"}
            for posting in row.postings.all()
        ],
    }


class LedgerView(PortfolioView):
    """`GET /ledger/`."""

    @extend_schema(
        operation_id="list_ledger",
        summary="The double-entry books of the portfolio",
        parameters=[ContestQuery, *filters.parameters(LedgerFilters), *PAGED],
        responses=page_serializer(LedgerEntryOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        rows = filters.apply(
            filters=LedgerFilters,
            request=request,
            queryset=selectors.ledger(portfolio=self.portfolio()),
        )
        return self.page(queryset=rows, ordering="-seq", render=render_entry)


class CurveQuery(ContestQuery):
    since = Instant(required=False, help_text="Everything, if left out.")


class CurvePointOutput(serializers.Serializer[Any]):
    taken_at = Instant()
    kind = serializers.CharField(help_text="MINUTE (kept for the day) or CLOSE (for ever).")
    equity = Money()
    benchmark = serializers.FloatField(allow_null=True, help_text="NIFTY 50 at that instant.")


def render_point(row: selectors.CurvePoint) -> Mapping[str, Any]:
    """A point of the equity curve."""
    return {
        "taken_at": row.taken_at,
        "kind": row.kind,
        "equity": f"{row.equity:.2f}",
        "benchmark": row.benchmark,
    }


class EquityCurveView(PortfolioView):
    """`GET /portfolio/equity/`."""

    @extend_schema(
        operation_id="list_equity",
        summary="Equity by time, with NIFTY 50 beside it",
        parameters=[CurveQuery, *PAGED],
        responses=page_serializer(CurvePointOutput),
    )
    def get(self, request: Request) -> Response:
        """Oldest first: every close, and the newest day's minutes."""
        since = self.read(CurveQuery, source="query").get("since")
        points = selectors.equity_curve(portfolio=self.portfolio(), since=since)
        return self.page_items(items=points, render=render_point)
