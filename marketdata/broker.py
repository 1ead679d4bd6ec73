"""The broker's token: kept encrypted, shown as four characters, watched, never logged.

Upstox's access token dies at 03:30 IST whenever it was made, and there is no refresh token: an
administrator connects once a day (OAuth), or pastes an analytics token, which lasts a year and
can only read. The live source also needs a stated acknowledgement of the data rules.
"""

import json
import secrets
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
import requests
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.cache import cache
from django.db import DatabaseError, connection, transaction

from marketdata.models import BrokerToken, LiveAcknowledgement
from marketdata.upstox.feed import FeedError
from marketdata.upstox.rest import TIMEOUT_SECONDS, USER_AGENT
from mockmarket.core import alarms, clock
from mockmarket.core.audit import audit
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User

DAILY_END: Final = time(3, 30)
# From here on the alarm stands while the token would not last the day's session.
ALARM_FROM: Final = time(8, 30)
SESSION_END: Final = time(16, 0)
STATE_SECONDS: Final = 600
ANALYTICS_DAYS: Final = 365
ALARM: Final = "broker token"
ACKNOWLEDGEMENT: Final = (
    "SEBI restricts the use of real-time exchange prices for virtual trading and delays them for"
    " education. I confirm that this campus may use Upstox's live data in this way, that no prize"
    " or money hangs on any contest here, and that every page names the source of its prices."
)


class NoKey(DomainError):
    """Tokens cannot be kept: no encryption key is configured."""

    code = "no_broker_key"
    status = 503


class BadState(DomainError):
    """The answer does not belong to a connection that this administrator began."""

    code = "bad_oauth_state"
    status = 403


class BadBrokerToken(DomainError):
    """What was pasted is not a token, or has expired."""

    code = "bad_broker_token"


class BrokerRefused(DomainError):
    """Upstox did not give a token."""

    code = "broker_refused"
    status = 502


class NotAcknowledged(DomainError):
    """The live source is off until an administrator states the acknowledgement."""

    code = "live_source_not_acknowledged"
    status = 403


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """What pages may show of the token. `kind` is "" where none is stored."""

    kind: str
    last_four: str
    expires_at: datetime | None
    lasts_session: bool
    live_acknowledged: bool


def current_token(*, at: datetime | None = None) -> str:
    """The token to call with: the newest stored one that is valid, else the configured one.

    The simulator and the replay take any token: only the live source reads the database.
    Raises NotAcknowledged for a live source that nobody has allowed.
    """
    if settings.MARKET_SOURCE != "upstox":
        return str(settings.UPSTOX_ACCESS_TOKEN)
    at = at or clock.now()
    if not live_acknowledged():
        raise NotAcknowledged("The live source is off until an administrator enables it.")
    row = _newest(at)
    if row is None:
        return str(settings.UPSTOX_ACCESS_TOKEN)
    try:
        return _keys().decrypt(row.ciphertext.encode()).decode()
    except InvalidToken as error:
        raise NoKey("No key of BROKER_TOKEN_KEYS fits the stored token.") from error


def feed_token() -> str:
    """`current_token` for the feed's thread: what stands in the way becomes a FeedError, which
    the feed retries, and the thread keeps no database connection."""
    try:
        return current_token()
    except (DomainError, DatabaseError) as error:
        raise FeedError(f"no token: {error}") from error
    finally:
        if settings.MARKET_SOURCE == "upstox":
            connection.close()


def status(*, at: datetime) -> TokenStatus:
    """The stored token without its secret."""
    row = _newest(at)
    return TokenStatus(
        kind=row.kind if row else "",
        last_four=row.last_four if row else "",
        expires_at=row.expires_at if row else None,
        lasts_session=row is not None and row.expires_at >= session_end(at=at),
        live_acknowledged=live_acknowledged(),
    )


def token_expiry(token: str) -> datetime | None:
    """When a JWT says that it ends; None when it is not one. Pure; the signature is not ours."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return clock.from_ms(int(claims["exp"]) * 1000)
    except (IndexError, ValueError, KeyError, TypeError):
        return None


def daily_expiry(*, at: datetime) -> datetime:
    """The next 03:30 in India after `at`: the end of an access token made then."""
    local = at.astimezone(clock.IST)
    end = datetime.combine(local.date(), DAILY_END, tzinfo=clock.IST)
    return end if end > local else end + timedelta(days=1)


def session_end(*, at: datetime) -> datetime:
    """When the day of `at` needs its token no longer."""
    local = at.astimezone(clock.IST)
    return datetime.combine(local.date(), SESSION_END, tzinfo=clock.IST)


# --- connecting -------------------------------------------------------------------------------
def begin_oauth(*, user: User, at: datetime) -> str:
    """The address of Upstox's login dialog, with a state that only this administrator can use."""
    if not (settings.UPSTOX_CLIENT_ID and settings.UPSTOX_CLIENT_SECRET):
        raise NoKey("Set UPSTOX_CLIENT_ID and UPSTOX_CLIENT_SECRET to connect by login.")
    _keys()
    state = secrets.token_urlsafe(32)
    cache.set(_state_key(state), user.pk, STATE_SECONDS)
    query = urlencode(
        {
            "response_type": "code",
            "client_id": settings.UPSTOX_CLIENT_ID,
            "redirect_uri": settings.UPSTOX_REDIRECT_URL,
            "state": state,
        }
    )
    return f"{settings.UPSTOX_REST_URL}/v2/login/authorization/dialog?{query}"


def complete_oauth(*, user: User, code: str, state: str, at: datetime) -> BrokerToken:
    """Exchange the code of the redirect for a token and keep it.

    Raises BadState for a state that is unknown, used, older than ten minutes or another
    administrator's, and BrokerRefused when Upstox gives no token.
    """
    owner = cache.get(_state_key(state)) if state else None
    # Deleting tells whether we were first: a state works once even when two requests race.
    if owner is None or not cache.delete(_state_key(state)) or owner != user.pk:
        raise BadState("This connection was not begun here, or took too long. Start again.")
    answer = _exchange(code)
    token = answer.get("access_token")
    if not isinstance(token, str) or not token:
        raise BrokerRefused("Upstox gave no token. Start again.")
    return keep_token(
        token=token, kind=BrokerToken.Kind.OAUTH, user=user, at=at, expires_at=daily_expiry(at=at)
    )


def _exchange(code: str) -> Mapping[str, Any]:
    try:
        response = requests.post(
            f"{settings.UPSTOX_REST_URL}/v2/login/authorization/token",
            data={
                "code": code,
                "client_id": settings.UPSTOX_CLIENT_ID,
                "client_secret": settings.UPSTOX_CLIENT_SECRET,
                "redirect_uri": settings.UPSTOX_REDIRECT_URL,
                "grant_type": "authorization_code",
            },
            headers={"Accept": "application/json", "User-Agent": USER_AGENT},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
        answer = msgspec.json.decode(response.content)
    except (requests.RequestException, msgspec.DecodeError) as error:
        # The error's text could hold the request's body: name only its kind.
        raise BrokerRefused(f"No answer from Upstox ({type(error).__name__}).") from None
    if response.status_code != 200 or not isinstance(answer, dict):
        errors = answer.get("errors") if isinstance(answer, dict) else None
        why = errors[0].get("message", "") if errors else ""
        raise BrokerRefused(f"Upstox refused: {response.status_code} {why}".strip())
    return answer


def paste_analytics_token(*, user: User, token: str, at: datetime) -> BrokerToken:
    """Keep a one-year, read-only token from Upstox's console. Raises BadBrokerToken."""
    token = token.strip()
    if not 20 <= len(token) <= 4_096 or any(character.isspace() for character in token):
        raise BadBrokerToken("This is not a token.", fields={"token": "Paste the whole token."})
    expires = token_expiry(token) or at + timedelta(days=ANALYTICS_DAYS)
    if expires <= at:
        raise BadBrokerToken("This token has expired.", fields={"token": "Make a new one."})
    return keep_token(
        token=token, kind=BrokerToken.Kind.ANALYTICS, user=user, at=at, expires_at=expires
    )


def keep_token(
    *, token: str, kind: str, user: User, at: datetime, expires_at: datetime
) -> BrokerToken:
    """Encrypt and store a token in place of the one before. Raises NoKey."""
    ciphertext = _keys().encrypt(token.encode()).decode()
    with transaction.atomic():
        BrokerToken.objects.filter(ended_at=None).update(ended_at=at, ciphertext="")
        row = BrokerToken.objects.create(
            kind=kind,
            ciphertext=ciphertext,
            last_four=token[-4:],
            expires_at=expires_at,
            created_at=at,
            created_by=user,
        )
        audit(
            actor=user,
            action="broker_token.keep",
            target=row,
            reason=f"{row.get_kind_display()} connected",
            after={"kind": kind, "last_four": row.last_four, "expires_at": expires_at.isoformat()},
            at=at,
        )
    watch(at=at)
    return row


def disconnect(*, user: User, reason: str, at: datetime) -> None:
    """Forget the stored token: its ciphertext is removed, the fact stays."""
    with transaction.atomic():
        for row in BrokerToken.objects.select_for_update().filter(ended_at=None):
            row.ended_at, row.ciphertext = at, ""
            row.save(update_fields=["ended_at", "ciphertext"])
            audit(actor=user, action="broker_token.forget", target=row, reason=reason, at=at)


def rotate_keys() -> int:
    """Encrypt every kept token with the first key again. Returns how many."""
    keys = _keys()
    rows = list(BrokerToken.objects.exclude(ciphertext=""))
    for row in rows:
        row.ciphertext = keys.rotate(row.ciphertext.encode()).decode()
        row.save(update_fields=["ciphertext"])
    return len(rows)


# --- the live source --------------------------------------------------------------------------
def live_acknowledged() -> bool:
    """Whether an administrator stands by the use of live prices."""
    return LiveAcknowledgement.objects.filter(withdrawn_at=None).exists()


def acknowledge_live(*, user: User, text: str, at: datetime) -> None:
    """Enable the live source; `text` must be the acknowledgement, word for word."""
    if " ".join(text.split()) != " ".join(ACKNOWLEDGEMENT.split()):
        raise NotAcknowledged("State the acknowledgement word for word.")
    with transaction.atomic():
        if live_acknowledged():
            return
        row = LiveAcknowledgement.objects.create(stated_by=user, stated_at=at, text=ACKNOWLEDGEMENT)
        audit(actor=user, action="live_source.enable", target=row, reason="acknowledged", at=at)


def withdraw_live(*, user: User, reason: str, at: datetime) -> None:
    """Turn the live source off again."""
    with transaction.atomic():
        for row in LiveAcknowledgement.objects.select_for_update().filter(withdrawn_at=None):
            row.withdrawn_at = at
            row.save(update_fields=["withdrawn_at"])
            audit(actor=user, action="live_source.disable", target=row, reason=reason, at=at)


# --- the alarm --------------------------------------------------------------------------------
def watch(*, at: datetime) -> None:
    """Raise or clear the token's alarm; level-triggered, called each minute.

    From 08:30 IST to the session's end it stands while the token would not last the session.
    """
    if settings.MARKET_SOURCE != "upstox":
        return
    local = at.astimezone(clock.IST)
    found = status(at=at)
    watched = ALARM_FROM <= local.time() < SESSION_END
    if watched and not found.lasts_session:
        ends = found.expires_at
        why = f"ends {ends.astimezone(clock.IST):%d %b %H:%M} IST" if ends else "is missing"
        alarms.raise_alarm(
            name=ALARM, message=f"The broker token {why}: connect Upstox again.", at=at
        )
    elif found.lasts_session:
        alarms.clear(name=ALARM)


def _newest(at: datetime) -> BrokerToken | None:
    return (
        BrokerToken.objects.filter(ended_at=None, expires_at__gt=at)
        .order_by("-created_at", "-pk")
        .first()
    )


def _keys() -> MultiFernet:
    try:
        keys = [Fernet(key) for key in settings.BROKER_TOKEN_KEYS]
    except ValueError as error:
        raise NoKey("BROKER_TOKEN_KEYS holds something that is not a Fernet key.") from error
    if not keys:
        raise NoKey("Set BROKER_TOKEN_KEYS: tokens are only kept encrypted.")
    return MultiFernet(keys)


def _state_key(state: str) -> str:
    return f"upstox-oauth:{state}"
