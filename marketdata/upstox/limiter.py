"""Upstox's rate limits, held by all processes together through Redis.

A sliding window, not a bucket: Upstox counts the calls of the last second, minute and half hour,
so a limiter that only averages would be refused at a burst.
"""

import logging
import random
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import redis

from mockmarket.core import redis as store

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Window:
    """At most `calls` in any `seconds`."""

    seconds: int
    calls: int


# Per API and user: 50/s, 500/min, 2,000/30 min.
STANDARD: Final = (Window(1, 50), Window(60, 500), Window(1800, 2000))

# Keeps one sorted set of call times (microseconds of the server's clock, so that no two clocks
# can disagree). Answers 0 and books the call, or answers the microseconds to wait.
_SCRIPT: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local longest, wait = 0, 0
for i = 2, #ARGV, 2 do
  local span, calls = ARGV[i] * 1000000, tonumber(ARGV[i + 1])
  if span > longest then longest = span end
  -- A call leaves the window when it is older than the span.
  local inside = redis.call('ZCOUNT', KEYS[1], '(' .. string.format('%.0f', now - span), '+inf')
  if inside >= calls then
    local size = redis.call('ZCARD', KEYS[1])
    local oldest = redis.call('ZRANGE', KEYS[1], size - calls, size - calls, 'WITHSCORES')
    local left = oldest[2] + span - now
    if left > wait then wait = left end
  end
end
if wait > 0 then return string.format('%.0f', wait) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - longest))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
redis.call('PEXPIRE', KEYS[1], longest / 1000)
return '0'
"""


class QuotaExhausted(Exception):
    """The limit would hold the call back longer than its caller wants to wait."""


class Limiter:
    """One API's quota. Thread-safe; processes that share `name` and Redis share the quota."""

    def __init__(
        self,
        *,
        name: str = "standard",
        windows: Sequence[Window] = STANDARD,
        connection: redis.Redis | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._key = store.key("upstox", "quota", name)
        self._windows = tuple(windows)
        self._redis = connection or store.client()
        self._script = self._redis.register_script(_SCRIPT)
        self._sleep = sleep

    def acquire(self, *, timeout_seconds: float = 30.0) -> None:
        """Book one call, sleeping until there is room.

        Raises QuotaExhausted when that would take longer than `timeout_seconds`, and
        redis.RedisError when the count cannot be kept: an uncounted call could cost the account.
        """
        left = timeout_seconds
        while (wait := self.try_acquire()) > 0:
            # A little more than told, and not all at once when many processes wait.
            pause = wait + random.uniform(0.001, 0.02)  # noqa: S311
            if pause > left:
                raise QuotaExhausted(f"no room for {wait:.1f} s")
            self._sleep(pause)
            left -= pause

    def try_acquire(self) -> float:
        """Book one call and return 0, or return the seconds until there is room."""
        arguments: list[str | int] = [uuid.uuid4().hex]
        for window in self._windows:
            arguments += [window.seconds, window.calls]
        answer = self._script(keys=[self._key], args=arguments)
        return int(answer) / 1_000_000

    def used(self) -> dict[int, int]:
        """Calls in each window now, by the window's seconds; for the operations page."""
        seconds, microseconds = self._redis.time()
        now = int(seconds) * 1_000_000 + int(microseconds)
        return {
            window.seconds: int(
                self._redis.zcount(self._key, f"({now - window.seconds * 1_000_000}", "+inf")
            )
            for window in self._windows
        }
