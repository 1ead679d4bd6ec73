"""Exact request limits over all processes: a sliding window in Redis, one script a request.

One list of the newest accepted instants serves every window of a bucket: with 10 a second and
200 a minute, the tenth newest must be older than a second and the 200th older than a minute.
Redis' own clock is used, so processes need not agree on the time. When Redis is away a bucket
either falls back to the same windows in this process (orders, reads) or refuses (logins).
"""

import logging
import math
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import redis as redis_errors
from django.conf import settings

from mockmarket.core import clock, redis
from mockmarket.core.errors import DomainError

logger = logging.getLogger(__name__)

# KEYS[1] the bucket; ARGV: how many to take, then count and window in microseconds per limit.
# Returns 0 when taken, else the microseconds to wait.
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost = tonumber(ARGV[1])
local wait, most, longest = 0, 0, 0
for i = 2, #ARGV, 2 do
  local count, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
  if count > most then most = count end
  if window > longest then longest = window end
  local oldest = redis.call('LINDEX', KEYS[1], math.max(0, count - cost))
  if oldest then
    local left = tonumber(oldest) + window - now
    if left > wait then wait = left end
  end
end
if wait > 0 then return wait end
for _ = 1, cost do redis.call('LPUSH', KEYS[1], string.format('%.0f', now)) end
redis.call('LTRIM', KEYS[1], 0, most - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil(longest / 1000))
return 0
"""
# After a failure Redis is not asked again for this long, so that a hanging server does not
# cost every request its time-out.
_RETRY_REDIS_SECONDS = 1.0
_LOCAL_IDENTITIES_MAX = 10_000


class Throttled(DomainError):
    """Too many requests; `retry_after` is the seconds to wait."""

    code = "throttled"
    status = 429

    def __init__(self, *, retry_after: float) -> None:
        super().__init__(f"Too many requests. Try again in {max(1, math.ceil(retry_after))} s.")
        self.retry_after = retry_after


class LimiterUnavailable(DomainError):
    """The limit cannot be checked, and this action is not allowed unchecked."""

    code = "service_unavailable"
    status = 503
    retry_after = 5.0


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` in any window of `seconds`."""

    count: int
    seconds: float


class LocalWindows:
    """The same windows in memory, for one process; the least recently seen is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, *, key: str, limits: Sequence[Limit], now: float, cost: int = 1) -> float:
        """0.0 when taken, else the seconds to wait."""
        with self._lock:
            taken = self._taken.setdefault(key, deque(maxlen=max(x.count for x in limits)))
            self._taken.move_to_end(key)
            if len(self._taken) > _LOCAL_IDENTITIES_MAX:
                self._taken.popitem(last=False)
            wait = max(
                (
                    taken[max(0, limit.count - cost)] + limit.seconds - now
                    for limit in limits
                    if len(taken) > max(0, limit.count - cost)
                ),
                default=0.0,
            )
            if wait > 0:
                return wait
            taken.extendleft([now] * cost)
            return 0.0


_local = LocalWindows()
_redis_retry_at = 0.0


def take(
    *,
    bucket: str,
    identity: str,
    limits: Sequence[Limit],
    when_away: Literal["local", "refuse"],
    cost: int = 1,
) -> None:
    """Counts one request of `identity`, or `cost` at once, against every limit of `bucket`.

    A refused request is not counted. More at once than a limit allows pass only when nothing was
    taken in its window. Raises Throttled, or LimiterUnavailable when Redis is away
    and `when_away` is "refuse".
    """
    wait = _take_shared(bucket=bucket, identity=identity, limits=limits, cost=cost)
    if wait is None:
        if when_away == "refuse":
            raise LimiterUnavailable("Sign-in is not possible right now. Try again shortly.")
        key = f"{bucket}:{identity}"
        wait = _local.take(key=key, limits=limits, now=clock.monotonic(), cost=cost)
    if wait > 0:
        raise Throttled(retry_after=wait)


def _take_shared(*, bucket: str, identity: str, limits: Sequence[Limit], cost: int) -> float | None:
    """Seconds to wait by Redis, or None when it cannot be asked."""
    global _redis_retry_at
    if clock.monotonic() < _redis_retry_at:
        return None
    arguments = [x for limit in limits for x in (limit.count, round(limit.seconds * 1e6))]
    try:
        name = redis.key("throttle", bucket, identity)
        wait = redis.client().eval(_SCRIPT, 1, name, cost, *arguments)
    except (redis_errors.RedisError, OSError):
        _redis_retry_at = clock.monotonic() + _RETRY_REDIS_SECONDS
        logger.warning("throttles fall back: Redis is away")
        return None
    return int(wait) / 1e6


def order_limits() -> list[Limit]:
    """Placing, changing and cancelling orders, per user."""
    return [Limit(settings.ORDERS_PER_SECOND, 1), Limit(settings.ORDERS_PER_MINUTE, 60)]


def take_order(*, identity: str) -> None:
    """Counts placing or changing an order on a page."""
    take(bucket="orders", identity=identity, limits=order_limits(), when_away="local")


def take_more_orders(*, identity: str, cost: int) -> None:
    """Counts a basket's further orders against the minute alone: they come in one request."""
    take(
        bucket="orders",
        identity=identity,
        limits=[Limit(settings.ORDERS_PER_MINUTE, 60)],
        when_away="local",
        cost=cost,
    )


def read_limits() -> list[Limit]:
    """Every other authenticated request, per user."""
    return [Limit(settings.READS_PER_SECOND, 1)]


def take_login(*, username: str, address: str) -> None:
    """Counts a sign-in attempt, for page and API alike; refuses while Redis is away.

    By account and address together, because a whole campus may share one address; the address
    alone has a ceiling that a class signing in at once does not reach.
    """
    account = username.strip().lower()[:150]
    take(
        bucket="login",
        identity=f"{address}:{account}",
        limits=[Limit(settings.LOGINS_PER_MINUTE, 60)],
        when_away="refuse",
    )
    take(
        bucket="login-address",
        identity=address,
        limits=[Limit(settings.LOGINS_PER_ADDRESS_PER_MINUTE, 60)],
        when_away="refuse",
    )
