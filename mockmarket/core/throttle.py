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

# KEYS the buckets; ARGV: how many to take, then for each bucket the number of its limits and of
# each its count and window in microseconds. Taken from all buckets or from none.
# Returns 0 when taken, else the microseconds to wait.
_SCRIPT = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local cost = tonumber(ARGV[1])
local wait, at = 0, 2
local most, longest = {}, {}
for b, key in ipairs(KEYS) do
  most[b], longest[b] = 0, 0
  local limits = tonumber(ARGV[at])
  for i = at + 1, at + 2 * limits, 2 do
    local count, window = tonumber(ARGV[i]), tonumber(ARGV[i + 1])
    most[b] = math.max(most[b], count)
    longest[b] = math.max(longest[b], window)
    local oldest = redis.call('LINDEX', key, math.max(0, count - cost))
    if oldest then wait = math.max(wait, tonumber(oldest) + window - now) end
  end
  at = at + 1 + 2 * limits
end
if wait > 0 then return wait end
for b, key in ipairs(KEYS) do
  for _ = 1, cost do redis.call('LPUSH', key, string.format('%.0f', now)) end
  redis.call('LTRIM', key, 0, most[b] - 1)
  redis.call('PEXPIRE', key, math.ceil(longest[b] / 1000))
end
return 0
"""
_LOCAL_BUCKETS_MAX = 10_000


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


@dataclass(frozen=True, slots=True)
class Bucket:
    """Requests that are counted together under a name, and their limits."""

    name: str
    limits: Sequence[Limit]


class LocalWindows:
    """The same windows in memory, for one process; the least recently seen is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, *, buckets: Sequence[Bucket], now: float, cost: int = 1) -> float:
        """0.0 when taken from every bucket, else the seconds to wait."""
        with self._lock:
            wait = max(self._wait(bucket, now=now, cost=cost) for bucket in buckets)
            if wait > 0:
                return wait
            for bucket in buckets:
                self._taken[bucket.name].extendleft([now] * cost)
            while len(self._taken) > _LOCAL_BUCKETS_MAX:
                self._taken.popitem(last=False)
            return 0.0

    def _wait(self, bucket: Bucket, *, now: float, cost: int) -> float:
        most = max(limit.count for limit in bucket.limits)
        taken = self._taken.setdefault(bucket.name, deque(maxlen=most))
        self._taken.move_to_end(bucket.name)
        waits = (
            taken[max(0, limit.count - cost)] + limit.seconds - now
            for limit in bucket.limits
            if len(taken) > max(0, limit.count - cost)
        )
        return max(waits, default=0.0)


_local = LocalWindows()


def take(
    *, buckets: Sequence[Bucket], when_away: Literal["local", "refuse"], cost: int = 1
) -> None:
    """Counts one request, or `cost` at once, in every one of the buckets.

    A refused request is counted in none. More at once than a limit allows pass only when nothing
    was taken in its window. Raises Throttled, or LimiterUnavailable when Redis is away
    and `when_away` is "refuse".
    """
    wait = _take_shared(buckets=buckets, cost=cost)
    if wait is None:
        if when_away == "refuse":
            raise LimiterUnavailable("Sign-in is not possible right now. Try again shortly.")
        wait = _local.take(buckets=buckets, now=clock.monotonic(), cost=cost)
    if wait > 0:
        raise Throttled(retry_after=wait)


def _take_shared(*, buckets: Sequence[Bucket], cost: int) -> float | None:
    """Seconds to wait by Redis, or None when it cannot be asked."""
    arguments: list[int] = []
    for bucket in buckets:
        arguments.append(len(bucket.limits))
        for limit in bucket.limits:
            arguments += (limit.count, round(limit.seconds * 1e6))
    try:
        names = [redis.key("throttle", bucket.name) for bucket in buckets]
        wait = redis.client().eval(_SCRIPT, len(names), *names, cost, *arguments)
    except (redis_errors.RedisError, OSError):
        logger.warning("throttles fall back: Redis is away")
        return None
    return int(wait) / 1e6


def take_order(*, user_id: int, token_id: int | None = None) -> None:
    """Counts placing, changing or cancelling an order, on a page or through the API."""
    limits = [Limit(settings.ORDERS_PER_SECOND, 1), Limit(settings.ORDERS_PER_MINUTE, 60)]
    buckets = _of_caller("orders", f"user:{user_id}", limits, token_id)
    take(buckets=buckets, when_away="local")


def take_more_orders(*, user_id: int, token_id: int | None = None, cost: int) -> None:
    """Counts a basket's further orders against the minute alone: they come in one request."""
    limits = [Limit(settings.ORDERS_PER_MINUTE, 60)]
    buckets = _of_caller("orders", f"user:{user_id}", limits, token_id)
    take(buckets=buckets, when_away="local", cost=cost)


def take_read(*, identity: str, token_id: int | None = None) -> None:
    """Counts every other request of `identity`, a user or an address."""
    limits = [Limit(settings.READS_PER_SECOND, 1)]
    take(buckets=_of_caller("reads", identity, limits, token_id), when_away="local")


def _of_caller(
    kind: str, identity: str, limits: Sequence[Limit], token_id: int | None
) -> list[Bucket]:
    """The user's bucket, which all their tokens and sessions share, and the token's own.

    TOKEN_LIMIT_PERCENT is what one token may use of the user's limits, so that a program that runs
    wild can leave its owner room at the ticket.
    """
    buckets = [Bucket(f"{kind}:{identity}", limits)]
    if token_id is not None:
        share = [
            Limit(max(1, limit.count * settings.TOKEN_LIMIT_PERCENT // 100), limit.seconds)
            for limit in limits
        ]
        buckets.append(Bucket(f"{kind}:token:{token_id}", share))
    return buckets


def take_login(*, username: str, address: str) -> None:
    """Counts a sign-in attempt, for page and API alike; refuses while Redis is away.

    By account and address together, because a whole campus may share one address; the address
    alone has a ceiling that a class signing in at once does not reach.
    """
    account = username.strip().lower()[:150]
    here = Limit(settings.LOGINS_PER_MINUTE, 60)
    everybody = Limit(settings.LOGINS_PER_ADDRESS_PER_MINUTE, 60)
    take(
        buckets=[
            Bucket(f"login:{address}:{account}", [here]),
            Bucket(f"login-address:{address}", [everybody]),
        ],
        when_away="refuse",
    )
