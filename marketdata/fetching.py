"""The REST fetchers: what is due now, within the service window, in as few calls as can be.

The nine indices are due every 5 s, every share of the universe every 120 s, the most active
every 30 s. A call carries up to 500 keys and the indices take nine of them, so shares and
most-active ride along: 720 calls an hour, whatever is due. What is due is claimed in Redis with
an expiry, so a second beat fetches nothing twice, and a missed one is made up for by the next.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
import structlog

from marketdata import broker, selectors, sessions
from marketdata.interest import STRIP
from marketdata.quotes import Tick
from marketdata.upstox import rest
from mockmarket.core import alarms, bus
from mockmarket.core import redis as store
from mockmarket.core.errors import DomainError

log = structlog.get_logger(__name__)

KEYS_PER_CALL: Final = 500
INDICES_EVERY_MS: Final = 5_000
SHARES_EVERY_MS: Final = 120_000
ACTIVE_EVERY_MS: Final = 30_000
ACTIVE_KEYS: Final = 50
# A claim expires a little before it is due again, or jitter of the schedule would skip a turn.
CLAIM_SLACK_MS: Final = 400
TICKS_PER_MESSAGE: Final = 250
CASH_MARKETS: Final = ("NSE_EQ", sessions.CAS_MARKET)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one turn did."""

    calls: int
    ticks: int


def claim(name: str, *, every_ms: int) -> bool:
    """Whether `name` is due; true for one caller a period. Raises redis.RedisError."""
    ttl = every_ms - CLAIM_SLACK_MS
    return bool(store.client().set(store.key("fetch", name), 1, nx=True, px=ttl))


def in_window(*, at: datetime) -> bool:
    """Whether the cash market's fetchers may call upstream."""
    calendar = selectors.calendar()
    return any(
        sessions.in_service(market=market, at=at, calendar=calendar) for market in CASH_MARKETS
    )


def chunks_of(shares: Sequence[str]) -> list[list[str]]:
    """Shares in calls that leave room for the indices."""
    room = KEYS_PER_CALL - len(STRIP) - ACTIVE_KEYS
    return [list(shares[start : start + room]) for start in range(0, len(shares), room)]


def fetch_due(*, at: datetime, client: rest.Client | None = None) -> Swept:
    """Fetch what is due at `at` and hand it to the engine. One turn makes at most one call."""
    if not in_window(at=at) or token_refused():
        return Swept(0, 0)
    if not claim("indices", every_ms=INDICES_EVERY_MS):
        return Swept(0, 0)
    keys = dict.fromkeys(STRIP)
    if claim("active", every_ms=ACTIVE_EVERY_MS):
        active = selectors.movers(kind="active_value", at=at, limit=ACTIVE_KEYS)
        keys.update(dict.fromkeys(listed.instrument.key for listed in active))
    shares = sorted(key for key in selectors.universe() if key not in STRIP)
    for number, chunk in enumerate(chunks_of(shares)):
        if claim(f"shares:{number}", every_ms=SHARES_EVERY_MS):
            keys.update(dict.fromkeys(chunk))
            break  # the next chunk rides with the next call
    try:
        ticks = (client or rest.Client(token=broker.current_token)).quotes(list(keys))
    except DomainError as error:
        alarms.raise_alarm(name="upstox-token", message=error.message, at=at)
        return Swept(0, 0)
    except rest.Unauthorised as error:
        # No loop against a closed door: nothing is asked again until the token changes.
        refuse_token(message=str(error), at=at)
        return Swept(1, 0)
    except rest.UpstoxError as error:
        log.warning("fetch failed", error=str(error))
        return Swept(1, 0)
    hand_to_engine(ticks)
    return Swept(1, len(ticks))


def _token_digest() -> bytes:
    return hashlib.sha256(broker.current_token().encode()).hexdigest().encode()


def refuse_token(*, message: str, at: datetime) -> None:
    """Remember that Upstox refused the present token, and raise the alarm."""
    store.client().set(store.key("upstox", "refused"), _token_digest())
    alarms.raise_alarm(name="upstox-token", message=message, at=at)


def token_refused() -> bool:
    """Whether Upstox refused the very token that would be used now."""
    held = store.client().get(store.key("upstox", "refused"))
    if held is None:
        return False
    try:
        if held == _token_digest():
            return True
    except DomainError:
        return True  # no token to try
    store.client().delete(store.key("upstox", "refused"))
    alarms.clear(name="upstox-token")
    return False


def hand_to_engine(ticks: Sequence[Tick]) -> None:
    """Send ticks to the engine in messages of a modest size; lost ones come again next turn."""
    for start in range(0, len(ticks), TICKS_PER_MESSAGE):
        payload = msgspec.msgpack.encode(ticks[start : start + TICKS_PER_MESSAGE])
        bus.send(bus.ENGINE_GROUP, {"type": "rest.quotes", "payload": payload})
