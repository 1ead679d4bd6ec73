"""Credentials of programs: named API tokens and JWTs. Who is calling, and what may they do.

An API token (`mm_…`) is kept as its SHA-256 only. A JWT names its user and carries a digest of
the password hash, so that a changed password ends every JWT at once. Refresh tokens rotate:
each works once, which the unique constraint of the blacklist guarantees.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import authenticate
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.tokens import AccessToken, RefreshToken

from mockmarket.core import bus, clock
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.models import ApiToken, User

PREFIX = "mm_"
# Last use is shown to the minute; a write on every request would buy nothing.
LAST_USED_STEP = timedelta(minutes=1)
_PASSWORD_CLAIM = "pwd"  # noqa: S105 (the name of a claim)


class InvalidToken(DomainError):
    """The credential is malformed, unknown, expired, revoked or of a user who left."""

    code = "invalid_token"
    status = 401


class InvalidCredentials(DomainError):
    """Name and password do not belong together; which of them was wrong is not said."""

    code = "invalid_credentials"
    status = 401


class TooManyAttempts(DomainError):
    """This account is locked for this address after repeated failures."""

    code = "too_many_attempts"
    status = 429
    retry_after = 900


class TooManyTokens(DomainError):
    """The user has as many live tokens as one may have."""

    code = "too_many_tokens"
    status = 409


@dataclass(frozen=True, slots=True)
class Credential:
    """An authenticated caller: the user, the scope (`READ` or `TRADE`) and how long it lasts."""

    user: User
    scope: str
    token_id: int | None
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """A short-lived access JWT and the refresh JWT that replaces both, once."""

    access: str
    refresh: str


def authenticate_token(*, header: str, at: datetime) -> Credential:
    """The caller named by an `Authorization` header's whole value, `Bearer <token>`.

    Used by REST and by the WebSocket handshake. Raises InvalidToken.
    """
    scheme, _, text = header.partition(" ")
    text = text.strip()
    if scheme.lower() != "bearer" or not text or " " in text:
        raise InvalidToken("The Authorization header must be 'Bearer <token>'.")
    if text.startswith(PREFIX):
        return _api_token(text=text, at=at)
    return _access_token(text=text)


def _api_token(*, text: str, at: datetime) -> Credential:
    row = ApiToken.objects.select_related("user").filter(digest=_digest(text)).first()
    if row is None or row.revoked_at is not None or not row.user.is_active:
        raise InvalidToken("The API token is not valid.")
    if row.expires_at is not None and row.expires_at <= at:
        raise InvalidToken("The API token has expired.")
    if row.last_used_at is None or row.last_used_at <= at - LAST_USED_STEP:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=at)
    return Credential(user=row.user, scope=row.scope, token_id=row.pk, expires_at=row.expires_at)


def _access_token(*, text: str) -> Credential:
    try:
        token = AccessToken(text)  # type: ignore[arg-type]
    except TokenError as error:
        raise InvalidToken("The access token is not valid or has expired.") from error
    user = _user_of(token)
    return Credential(
        user=user,
        scope=ApiToken.Scope.TRADE,
        token_id=None,
        expires_at=clock.from_ms(int(token["exp"]) * 1000),
    )


def _user_of(token: AccessToken | RefreshToken) -> User:
    """The active user of a verified JWT whose password has not changed since."""
    user = User.objects.filter(pk=token.get("user_id"), is_active=True).first()
    if user is None or not hmac.compare_digest(
        str(token.get(_PASSWORD_CLAIM, "")), _password_mark(user)
    ):
        raise InvalidToken("The token no longer belongs to an active user.")
    return user


def _password_mark(user: User) -> str:
    return str(user.get_session_auth_hash())[:16]


def sign_in(*, request: HttpRequest, username: str, password: str) -> User:
    """The user with this name and password. Failures are counted and lock the account.

    Raises InvalidCredentials, or TooManyAttempts while locked.
    """
    user = authenticate(request, username=username, password=password)
    if getattr(request, "axes_locked_out", False):
        # The lock-out middleware would replace the answer by a page.
        request.axes_locked_out = False  # type: ignore[attr-defined]
        raise TooManyAttempts("Too many failed attempts. Try again in fifteen minutes.")
    if not isinstance(user, User):
        raise InvalidCredentials("The username or password is wrong.")
    return user


def issue_pair(*, user: User) -> TokenPair:
    """A new access and refresh JWT of `user`."""
    refresh = RefreshToken.for_user(user)
    refresh[_PASSWORD_CLAIM] = _password_mark(user)
    return TokenPair(access=str(refresh.access_token), refresh=str(refresh))


def rotate_pair(*, refresh: str) -> TokenPair:
    """Spends a refresh token for a new pair. Of two concurrent uses one is refused.

    Raises InvalidToken.
    """
    try:
        token = RefreshToken(refresh)  # type: ignore[arg-type]
    except TokenError as error:
        raise InvalidToken("The refresh token is not valid or was already used.") from error
    user = _user_of(token)
    outstanding = OutstandingToken.objects.filter(jti=token["jti"]).first()
    if outstanding is None:
        raise InvalidToken("The refresh token is not known.")
    try:
        with transaction.atomic():
            BlacklistedToken.objects.create(token=outstanding)
    except IntegrityError as error:
        raise InvalidToken("The refresh token was already used.") from error
    return issue_pair(user=user)


def create_token(
    *, user: User, name: str, scope: str, expires_at: datetime | None, at: datetime
) -> tuple[ApiToken, str]:
    """A new API token and its text, which is shown once and kept nowhere.

    Raises TooManyTokens.
    """
    with transaction.atomic():
        # The user's row serialises concurrent creations, so that the ceiling holds.
        User.objects.select_for_update().get(pk=user.pk)
        if live_tokens(user=user, at=at).count() >= settings.API_TOKENS_PER_USER_MAX:
            raise TooManyTokens(
                f"You have {settings.API_TOKENS_PER_USER_MAX} live tokens. Revoke one first."
            )
        text = PREFIX + secrets.token_urlsafe(32)
        row = ApiToken.objects.create(
            user=user,
            name=name,
            digest=_digest(text),
            last_four=text[-4:],
            scope=scope,
            created_at=at,
            expires_at=expires_at,
        )
    return row, text


def revoke_token(*, user: User, token_id: int, at: datetime) -> None:
    """Ends a token now, with every socket that it opened. Raises NotFound for others' tokens."""
    changed = ApiToken.objects.filter(pk=token_id, user=user, revoked_at__isnull=True).update(
        revoked_at=at
    )
    if not changed:
        raise NotFound("No such token.")
    bus.close_sockets(
        user_id=user.pk, session_key=f"token:{token_id}", reason="The token was revoked."
    )


def live_tokens(*, user: User, at: datetime) -> QuerySet[ApiToken]:
    """The user's tokens that are neither revoked nor expired, newest first."""
    return (
        ApiToken.objects.filter(user=user, revoked_at__isnull=True)
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at))
        .order_by("-created_at", "-id")
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
