"""One-use tickets for WebSockets of programs that cannot set a header on the handshake.

A ticket lives 60 seconds in Redis under its SHA-256 and is taken out by the first use: what leaks
from a log or a proxy afterwards opens nothing.
"""

import hashlib
import secrets
from datetime import datetime, timedelta

import redis.asyncio

from mockmarket.core import redis as shared
from mockmarket.core.models import User

LIFETIME = timedelta(seconds=60)


def issue_ticket(*, user: User, at: datetime) -> tuple[str, datetime]:
    """A new ticket of `user` and when it lapses. Raises redis.RedisError when Redis is away."""
    ticket = secrets.token_urlsafe(32)
    shared.client().set(_key(ticket), user.pk, ex=int(LIFETIME.total_seconds()))
    return ticket, at + LIFETIME


def redeem(ticket: str) -> int | None:
    """The user id of a ticket, once; None when it is unknown, used or lapsed."""
    found = shared.client().getdel(_key(ticket))
    return None if found is None else int(found)


async def redeem_async(client: "redis.asyncio.Redis", ticket: str) -> int | None:
    """`redeem` for asyncio code, over the caller's client."""
    found = await client.getdel(_key(ticket))
    return None if found is None else int(found)


def _key(ticket: str) -> str:
    digest = hashlib.sha256(ticket.encode("utf-8", "surrogatepass")).hexdigest()
    return shared.key("stream", "ticket", digest)
