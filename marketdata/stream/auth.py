"""Who is on the other end of a socket, at the handshake and for as long as it stays open."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db.models import Q
from django.http import HttpRequest
from django.utils.module_loading import import_string

from marketdata.stream.sockets import Grant
from mockmarket.core import bus, tokens
from mockmarket.core.models import ApiToken, User, UserStream


@dataclass(frozen=True, slots=True)
class Arrival:
    """An authenticated user and where their private events stand."""

    grant: Grant
    epoch: str
    seq: int


def session_key_of(cookie_header: str) -> str:
    """The session's key in a Cookie header, "" when there is none."""
    try:
        morsel = SimpleCookie(cookie_header).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return ""
    return "" if morsel is None else morsel.value


def by_session(session_key: str) -> Arrival | None:
    """The user signed in under a session, None when it has ended."""
    store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
    request = HttpRequest()
    request.session = store(session_key)
    user = get_user(request)  # checks the session's hash against the password's
    return _arrival(user, session_key) if isinstance(user, User) else None


def by_header(header: str, at: datetime) -> Arrival | None:
    """The user of an `Authorization` header: an API token or a JWT."""
    try:
        credential = tokens.authenticate_token(header=header, at=at)
    except tokens.InvalidToken:
        return None
    opened_by = "" if credential.token_id is None else f"token:{credential.token_id}"
    return _arrival(credential.user, opened_by)


def by_id(user_id: int) -> Arrival | None:
    """The user of a redeemed ticket."""
    user = User.objects.filter(pk=user_id).first()
    return None if user is None else _arrival(user, "")


def _arrival(user: User, session_key: str) -> Arrival | None:
    if not user.is_active:
        return None
    epoch, seq = bus.position(user.pk)
    return Arrival(Grant(user.pk, session_key, _mark(user.password)), epoch, seq)


def _mark(password: str) -> str:
    return hashlib.sha256(password.encode()).hexdigest()[:16]


def ended(grants: Collection[Grant], at: datetime) -> set[Grant]:
    """The grants that no longer hold: signed out, revoked, deactivated, deleted, new password."""
    users = {
        pk: _mark(password)
        for pk, password in User.objects.filter(
            pk__in={grant.user_id for grant in grants}, is_active=True
        ).values_list("pk", "password")
    }
    sessions, token_ids = _live_credentials({grant.session_key for grant in grants}, at)
    over = set()
    for grant in grants:
        opened_by, _, number = grant.session_key.partition(":")
        if users.get(grant.user_id) != grant.password_mark:
            over.add(grant)
        elif number and opened_by == "token":
            if int(number) not in token_ids:
                over.add(grant)
        elif grant.session_key and grant.session_key not in sessions:
            over.add(grant)
    return over


def _live_credentials(keys: Collection[str], at: datetime) -> tuple[set[str], set[int]]:
    numbers = {int(key[6:]) for key in keys if key.startswith("token:")}
    session_keys = {key for key in keys if key and not key.startswith("token:")}
    live_tokens = ApiToken.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=at), pk__in=numbers, revoked_at__isnull=True
    )
    if settings.SESSION_ENGINE == "django.contrib.sessions.backends.db":
        rows = Session.objects.filter(session_key__in=session_keys, expire_date__gt=at)
        live_sessions = set(rows.values_list("session_key", flat=True))
    else:
        store: type[SessionBase] = import_string(f"{settings.SESSION_ENGINE}.SessionStore")
        live_sessions = {key for key in session_keys if store().exists(key)}
    return live_sessions, set(live_tokens.values_list("pk", flat=True)) if numbers else set()


def positions(user_ids: Collection[int]) -> Mapping[int, tuple[str, int]]:
    """Where the private events of users stand: {user id: (epoch, seq)}."""
    rows = UserStream.objects.filter(user_id__in=user_ids)
    return {pk: (str(epoch), seq) for pk, epoch, seq in rows.values_list("user_id", "epoch", "seq")}
