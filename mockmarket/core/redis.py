"""One sync and one async Redis client a process, with the project's key prefix.

Neither tries again by itself: callers have their own answer to a Redis that is away, and redis-py's
retries make some of its clients wait up to 20 s for it.
"""

from functools import cache

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry


def key(*parts: object) -> str:
    """`prefix:part:part`, so that two installations can share a server."""
    return ":".join((settings.REDIS_PREFIX, *map(str, parts)))


@cache
def client() -> redis.Redis:
    """The process's synchronous client. Raises redis.RedisError within 2 s when it is away."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=2,
        socket_connect_timeout=2,
        max_connections=50,
        retry=Retry(NoBackoff(), 0),
    )


def async_client() -> redis.asyncio.Redis:
    """A new asyncio client; the caller owns it and its event loop."""
    return redis.asyncio.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=2,
        socket_connect_timeout=2,
        max_connections=20,
        retry=AsyncRetry(NoBackoff(), 0),
    )
