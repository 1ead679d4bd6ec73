"""Sign-in of programs, API tokens, and the caller's own account."""

from datetime import datetime
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import accounts, clock, throttle, tickets, tokens
from mockmarket.core.api.fields import Instant, RequestSerializer
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from mockmarket.core.models import ApiToken, User


class SignInInput(RequestSerializer):
    username = serializers.CharField(max_length=150)
    password = serializers.CharField(max_length=128, trim_whitespace=False)


class RefreshInput(RequestSerializer):
    refresh = serializers.CharField(max_length=2000)


class TokenPairOutput(serializers.Serializer[Any]):
    access = serializers.CharField(help_text="JWT for `Authorization: Bearer`; minutes.")
    refresh = serializers.CharField(help_text="Good once, for a new pair.")


class TokenPairView(ApiView):
    """`POST /auth/token/`."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(
        operation_id="sign_in",
        summary="Sign in for a JWT",
        request=SignInInput,
        responses={200: TokenPairOutput},
        examples=[
            OpenApiExample("student", {"username": "student01", "password": "…"}, request_only=True)
        ],
    )
    def post(self, request: Request) -> Response:
        """Name and password for a short-lived access token and a rotating refresh token."""
        given = self.read(SignInInput)
        throttle.take_login(
            username=given["username"], address=str(request.META.get("REMOTE_ADDR", ""))
        )
        user = tokens.sign_in(
            request=request._request, username=given["username"], password=given["password"]
        )
        pair = tokens.issue_pair(user=user)
        return Response({"access": pair.access, "refresh": pair.refresh})


class TokenRefreshView(ApiView):
    """`POST /auth/token/refresh/`."""

    permission_classes = [AllowAny]
    authentication_classes = []

    @extend_schema(
        operation_id="refresh_token",
        summary="Exchange a refresh token",
        request=RefreshInput,
        responses={200: TokenPairOutput},
    )
    def post(self, request: Request) -> Response:
        """A new pair for a refresh token, which is spent by it."""
        pair = tokens.rotate_pair(refresh=self.read(RefreshInput)["refresh"])
        return Response({"access": pair.access, "refresh": pair.refresh})


class TicketOutput(serializers.Serializer[Any]):
    ticket = serializers.CharField(help_text="Send it as the socket's first message.")
    expires_at = Instant()


class WsTicketView(ApiView):
    """`POST /ws-ticket/`."""

    scope = "READ"

    @extend_schema(
        operation_id="create_ws_ticket",
        summary="A one-use ticket for the WebSocket",
        request=None,
        responses={201: TicketOutput},
    )
    @idempotent(secret=True)
    def post(self, request: Request) -> Response:
        """For `{"action": "authenticate", "ticket": …}`; good once, for a minute."""
        ticket, expires_at = tickets.issue_ticket(user=self.caller, at=clock.now())
        return Response({"ticket": ticket, "expires_at": expires_at}, status=201)


class MeOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    username = serializers.CharField()
    name = serializers.CharField()
    alias = serializers.CharField(help_text="Shown on leaderboards instead of the name.")
    email = serializers.CharField()
    is_staff = serializers.BooleanField()
    theme = serializers.ChoiceField(User.Theme.choices)
    colour_blind = serializers.BooleanField()


class MeChanges(RequestSerializer):
    alias = serializers.CharField(
        required=False,
        allow_blank=True,
        max_length=accounts.ALIAS_LENGTH_MAX,
        help_text="Nobody else's; empty: the name.",
    )
    theme = serializers.ChoiceField(User.Theme.choices, required=False)
    colour_blind = serializers.BooleanField(required=False)


class MeView(ApiView):
    """`GET, PATCH /me/`."""

    @extend_schema(operation_id="me", summary="The caller's account", responses=MeOutput)
    def get(self, request: Request) -> Response:
        """Who the credential belongs to."""
        return self.one(_me(self.caller))

    @extend_schema(
        operation_id="change_me",
        summary="Change alias, theme or palette",
        request=MeChanges,
        responses={200: MeOutput},
    )
    def patch(self, request: Request) -> Response:
        """What is left out stays."""
        return Response(_me(accounts.change(user=self.caller, **self.read(MeChanges))))


def _me(user: User) -> dict[str, Any]:
    return {
        "id": user.pk,
        "username": user.username,
        "name": user.get_full_name(),
        "alias": user.alias,
        "email": user.email,
        "is_staff": user.is_staff,
        "theme": user.theme,
        "colour_blind": user.colour_blind,
    }


class ApiTokenInput(RequestSerializer):
    name = serializers.CharField(max_length=60)
    scope = serializers.ChoiceField(ApiToken.Scope.choices, default=ApiToken.Scope.READ)
    expires_at = Instant(default=None, allow_null=True, help_text="Empty: until revoked.")

    def validate_expires_at(self, value: datetime | None) -> datetime | None:
        if value is not None and value <= clock.now():
            raise serializers.ValidationError("This time is over.")
        return value


class ApiTokenOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    scope = serializers.ChoiceField(ApiToken.Scope.choices)
    last_four = serializers.CharField()
    created_at = Instant()
    expires_at = Instant(allow_null=True)
    last_used_at = Instant(allow_null=True)


class NewApiTokenOutput(ApiTokenOutput):
    token = serializers.CharField(help_text="Shown once; only its SHA-256 is kept.")


class ApiTokensView(ApiView):
    """`GET, POST /tokens/`."""

    @extend_schema(
        operation_id="list_tokens",
        summary="The caller's API tokens",
        parameters=PAGED,
        responses=page_serializer(ApiTokenOutput),
    )
    def get(self, request: Request) -> Response:
        """Live tokens, newest first; never their text."""
        rows = tokens.live_tokens(user=self.caller, at=clock.now())
        return self.page_items(items=list(rows), render=_token)

    @extend_schema(
        operation_id="create_token",
        summary="Create an API token",
        request=ApiTokenInput,
        responses={201: NewApiTokenOutput},
    )
    @idempotent(secret=True)
    def post(self, request: Request) -> Response:
        """The text of the token is in this answer and nowhere else."""
        given = self.read(ApiTokenInput)
        row, text = tokens.create_token(user=self.caller, at=clock.now(), **given)
        return Response({**_token(row), "token": text}, status=201)


class ApiTokenView(ApiView):
    """`DELETE /tokens/{id}/`."""

    @extend_schema(
        operation_id="revoke_token", summary="Revoke an API token", responses={204: None}
    )
    def delete(self, request: Request, token_id: int) -> Response:
        """Ends the token and closes the sockets that it opened."""
        tokens.revoke_token(user=self.caller, token_id=token_id, at=clock.now())
        return Response(status=204)


def _token(row: ApiToken) -> dict[str, Any]:
    return {
        "id": row.pk,
        "name": row.name,
        "scope": row.scope,
        "last_four": row.last_four,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
        "last_used_at": row.last_used_at,
    }
