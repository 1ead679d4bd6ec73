"""Contests: list, join, leave, leaderboard."""

from collections.abc import Mapping
from typing import Any

from django.utils.decorators import method_decorator
from django.views.decorators.http import conditional_page
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, Money, Percent, RequestSerializer
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.pagination import cursor_links, cursor_offset, page_limit
from mockmarket.core.api.schema import CURSOR, FIELDS, LIMIT, PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from portfolios import contests, selectors, services, standings
from portfolios.models import Contest, Portfolio


class ContestOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    slug = serializers.CharField()
    name = serializers.CharField()
    description = serializers.CharField()
    state = serializers.ChoiceField(Contest.State.choices)
    is_practice = serializers.BooleanField()
    starts_at = Instant()
    ends_at = Instant(allow_null=True)
    starting_cash = Money()
    capacity = serializers.IntegerField(allow_null=True)
    rules_version = serializers.IntegerField()
    rules_hash = serializers.CharField(help_text="SHA-256 of the rules, set at the start.")


class ListedContestOutput(ContestOutput):
    members = serializers.IntegerField()
    joined = serializers.BooleanField()


class ContestDetailOutput(ContestOutput):
    rules = serializers.DictField(help_text="Names and meanings are in the guide; null: no limit.")


def render(row: Contest) -> dict[str, Any]:
    """A contest as the API shows it; never its join code."""
    return {
        "id": row.pk,
        "slug": row.slug,
        "name": row.name,
        "description": row.description,
        "state": row.state,
        "is_practice": row.is_practice,
        "starts_at": row.starts_at,
        "ends_at": row.ends_at,
        "starting_cash": f"{row.starting_cash:.2f}",
        "capacity": row.capacity,
        "rules_version": row.rules_version,
        "rules_hash": row.rules_hash,
    }


def render_listed(row: Any) -> Mapping[str, Any]:
    """A contest of the list, with how many joined and whether the caller did."""
    return {**render(row), "members": row.members, "joined": bool(row.joined)}


@method_decorator(conditional_page, name="dispatch")
class ContestsView(ApiView):
    """`GET /contests/`."""

    @extend_schema(
        operation_id="list_contests",
        summary="Contests",
        parameters=PAGED,
        responses=page_serializer(ListedContestOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first. Answers carry an ETag."""
        rows = selectors.contests_listed(user=self.caller)
        return self.page(queryset=rows, ordering="-id", render=render_listed)


@method_decorator(conditional_page, name="dispatch")
class ContestView(ApiView):
    """`GET /contests/{contest}/`."""

    @extend_schema(
        operation_id="get_contest",
        summary="One contest with its rules",
        parameters=[FIELDS],
        responses=ContestDetailOutput,
    )
    def get(self, request: Request, contest: str) -> Response:
        """By slug or id."""
        found = selectors.access_contest(user=self.caller, contest=contest)
        return self.one({**render(found), "rules": contests.rules_of(found).as_json()})


class JoinInput(RequestSerializer):
    code = serializers.CharField(max_length=16, help_text="From the staff; case does not matter.")


class MembershipOutput(serializers.Serializer[Any]):
    portfolio_id = serializers.IntegerField()
    contest = serializers.CharField()
    joined_at = Instant()
    left_at = Instant(allow_null=True)


def render_membership(row: Portfolio) -> dict[str, Any]:
    """Who joined what, when."""
    return {
        "portfolio_id": row.pk,
        "contest": row.contest.slug,
        "joined_at": row.joined_at,
        "left_at": row.left_at,
    }


class JoinView(ApiView):
    """`POST /contests/join/`."""

    @extend_schema(
        operation_id="join_contest",
        summary="Join a contest by its code",
        request=JoinInput,
        responses={201: MembershipOutput},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """Opens a portfolio with the contest's starting cash."""
        portfolio = services.join_contest(
            user=self.caller, code=self.read(JoinInput)["code"], at=clock.now()
        )
        return Response(render_membership(portfolio), status=201)


class LeaveView(ApiView):
    """`POST /contests/{contest}/leave/`."""

    @extend_schema(
        operation_id="leave_contest",
        summary="Leave a contest",
        request=None,
        responses={200: MembershipOutput},
    )
    @idempotent()
    def post(self, request: Request, contest: str) -> Response:
        """Possible while no order is open; the books stay."""
        found = selectors.access_contest(user=self.caller, contest=contest)
        portfolio = services.leave_contest(user=self.caller, contest=found, at=clock.now())
        return Response(render_membership(portfolio))


class BoardRowOutput(serializers.Serializer[Any]):
    rank = serializers.IntegerField(allow_null=True)
    portfolio_id = serializers.IntegerField()
    alias = serializers.CharField()
    return_percent = Percent()
    equity = Money()
    day_pnl = Money()
    score = serializers.FloatField(allow_null=True, help_text="What this board ranks by.")
    rank_low = serializers.IntegerField(
        allow_null=True, help_text="Had the days come in another mix, 9 of 10 times the rank…"
    )
    rank_high = serializers.IntegerField(allow_null=True, help_text="…would lie between these.")
    me = serializers.BooleanField()


class LeaderboardOutput(serializers.Serializer[Any]):
    contest = serializers.CharField()
    board = serializers.CharField()
    snapshot_id = serializers.IntegerField(help_text="Every row is valued at these prices.")
    as_of = Instant()
    of = serializers.IntegerField(help_text="How many are ranked.")
    total = serializers.IntegerField()
    results = BoardRowOutput(many=True)
    me = BoardRowOutput(allow_null=True)
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)


def render_row(row: standings.BoardRow) -> dict[str, Any]:
    """One row of a leaderboard."""
    return {
        "rank": row.rank,
        "portfolio_id": row.portfolio_id,
        "alias": row.alias,
        "return_percent": f"{row.return_percent:.4f}",
        "equity": f"{row.equity:.2f}",
        "day_pnl": f"{row.day_pnl:.2f}",
        "score": row.score,
        "rank_low": row.rank_low,
        "rank_high": row.rank_high,
        "me": row.me,
    }


class LeaderboardView(ApiView):
    """`GET /contests/{contest}/leaderboard/`."""

    @extend_schema(
        operation_id="get_leaderboard",
        summary="A contest's leaderboard",
        parameters=[
            OpenApiParameter("board", str, default="return", description="Which measure ranks."),
            CURSOR,
            LIMIT,
        ],
        responses=LeaderboardOutput,
    )
    def get(self, request: Request, contest: str) -> Response:
        """Every row from one price snapshot; `me` is the caller's own row on any page."""
        after = cursor_offset(request)
        found = standings.leaderboard(
            contest=selectors.access_contest(user=self.caller, contest=contest),
            user=self.caller,
            board=request.query_params.get("board", "return"),
            limit=page_limit(request),
            after=after,
            at=clock.now(),
        )
        following, previous = cursor_links(
            request=request, offset=after, shown=len(found.rows), total=found.total
        )
        return Response(
            {
                "contest": found.contest,
                "board": found.board,
                "snapshot_id": found.snapshot_id,
                "as_of": found.as_of,
                "of": found.of,
                "total": found.total,
                "results": [render_row(row) for row in found.rows],
                "me": None if found.me is None else render_row(found.me),
                "next": following,
                "previous": previous,
            }
        )
