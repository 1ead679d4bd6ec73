"""One sync and one async Redis client a process, with the project's key prefix.

Neither tries again by itself: callers have their own answer to a Redis that is away, and redis-py's
retries make some of its clients wait up to 20 s for it. The sync one also remembers: an order asks
Redis four times, and through a network that swallows packets each would wait for its time-out.
"""

from functools import cache
from typing import Any, Final

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from mockmarket.core import clock

ANSWER_SECONDS_MAX: Final = 2.0
# After a failure one caller in so many seconds looks whether Redis is back; others fail at once.
AWAY_SECONDS: Final = 3.0


def key(*parts: object) -> str:
    """`prefix:part:part`, so that two installations can share a server."""
    return ":".join((settings.REDIS_PREFIX, *map(str, parts)))


class Client(redis.Redis):
    """redis-py's, with a memory of being away. Pipelines have none."""

    _ask_at: float | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """As redis-py's. Raises redis.ConnectionError, redis.TimeoutError."""
        if self._ask_at is not None:
            if clock.monotonic() < self._ask_at:
                raise redis.ConnectionError("Redis was away a moment ago")
            self._ask_at = clock.monotonic() + AWAY_SECONDS
        try:
            result = super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (redis.ConnectionError, redis.TimeoutError):
            self._ask_at = clock.monotonic() + AWAY_SECONDS
            raise
        self._ask_at = None
        return result


@cache
def client() -> redis.Redis:
    """The process's synchronous client. Raises redis.RedisError within 2 s when it is away."""
    return Client.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWER_SECONDS_MAX,
        socket_connect_timeout=ANSWER_SECONDS_MAX,
        max_connections=50,
        retry=Retry(NoBackoff(), 0),
    )


def async_client() -> redis.asyncio.Redis:
    """A new asyncio client; the caller owns it and its event loop.

    Who finds all connections taken waits for one, as long as for an answer: redis-py's plain pool
    refuses at once, and hundreds of sockets that left together kept their places for good.
    """
    pool = redis.asyncio.BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        socket_timeout=ANSWER_SECONDS_MAX,
        socket_connect_timeout=ANSWER_SECONDS_MAX,
        max_connections=20,
        timeout=ANSWER_SECONDS_MAX,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return redis.asyncio.Redis.from_pool(pool)
