"""How contests ended, certificates, and what the staff announced."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core.api.fields import Instant, Money, Percent
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios import results, selectors
from portfolios.announcements import announcements_for
from portfolios.models import Announcement, Result


class PlacingOutput(serializers.Serializer[Any]):
    rank = serializers.IntegerField(allow_null=True, help_text="Null: too few fills for a rank.")
    of = serializers.IntegerField(help_text="How many are ranked.")
    portfolio_id = serializers.IntegerField()
    alias = serializers.CharField()
    equity = Money()
    paid_in = Money()
    realised_pnl = Money()
    charges = Money()
    fills = serializers.IntegerField()
    return_percent = Percent()


class OwnResultOutput(PlacingOutput):
    contest = serializers.CharField()
    certificate = serializers.CharField(help_text="Its code: /certificates/{code}/ checks it.")


class CertificateOutput(serializers.Serializer[Any]):
    code = serializers.CharField()
    alias = serializers.CharField()
    contest = serializers.CharField()
    starts_at = Instant()
    ended_at = Instant()
    rank = serializers.IntegerField(allow_null=True)
    of = serializers.IntegerField()
    return_percent = Percent()
    equity = Money()
    fills = serializers.IntegerField()
    rules_hash = serializers.CharField()


class AnnouncementOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    contest = serializers.CharField(allow_null=True, help_text="Null: to everybody.")
    title = serializers.CharField()
    body = serializers.CharField()
    created_at = Instant()


_MONEY = ("equity", "paid_in", "realised_pnl", "charges")


def render(row: Result) -> dict[str, Any]:
    """A place as everybody may see it: never the certificate's code."""
    body: dict[str, Any] = {
        name: getattr(row, name) for name in ("rank", "of", "portfolio_id", "alias", "fills")
    }
    body.update((name, f"{getattr(row, name):.2f}") for name in _MONEY)
    body["return_percent"] = f"{row.return_percent:.4f}"
    return body


def render_announcement(row: Announcement) -> Mapping[str, Any]:
    """An announcement. Needs its contest loaded."""
    return {
        "id": row.pk,
        "contest": row.contest and row.contest.slug,
        "title": row.title,
        "body": row.body,
        "created_at": row.created_at,
    }


@method_decorator(conditional_page, name="dispatch")
class ResultsView(ApiView):
    """`GET /contests/{contest}/results/`."""

    @extend_schema(
        operation_id="list_results",
        summary="The frozen result of a contest",
        parameters=PAGED,
        responses=page_serializer(PlacingOutput),
    )
    def get(self, request: Request, contest: str) -> Response:
        """Best first, the unranked last; empty while the contest goes on. Carries an ETag."""
        found = selectors.access_contest(user=self.caller, contest=contest)
        return self.page_items(items=results.results(contest=found), render=render)


class OwnResultView(ApiView):
    """`GET /contests/{contest}/result/`."""

    @extend_schema(
        operation_id="get_result",
        summary="The caller's own result, with its certificate",
        parameters=[FIELDS],
        responses=OwnResultOutput,
    )
    def get(self, request: Request, contest: str) -> Response:
        """404 `no_result` while the contest goes on."""
        portfolio = selectors.access_portfolio(user=self.caller, contest=contest)
        row = results.result_of(portfolio=portfolio)
        return self.one({**render(row), "contest": row.contest.slug, "certificate": row.code})


class CertificateView(ApiView):
    """`GET /certificates/{code}/`."""

    permission_classes = [AllowAny]

    @extend_schema(
        operation_id="check_certificate",
        summary="Check a certificate by its code",
        parameters=[FIELDS],
        responses=CertificateOutput,
    )
    def get(self, request: Request, code: str) -> Response:
        """Open to whoever has the code."""
        found = results.certificate(code=code)
        body = dataclasses.asdict(found)
        body["return_percent"] = f"{found.return_percent:.4f}"
        body["equity"] = f"{found.equity:.2f}"
        return self.one(body)


class AnnouncementsView(ApiView):
    """`GET /announcements/`."""

    @extend_schema(
        operation_id="list_announcements",
        summary="What the staff told the caller",
        parameters=PAGED,
        responses=page_serializer(AnnouncementOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first: to everybody, and to the caller's contests."""
        rows = announcements_for(user=self.caller)
        return self.page(queryset=rows, ordering="-created_at", render=render_announcement)
