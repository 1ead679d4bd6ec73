"""What one user may hold over all sockets of all processes: sockets, instruments, changes a minute.

The rules are `Allowance`, pure. They run inside Redis as a script, so that two processes cannot
both take the last place, and in this process while Redis is away. A socket's share is one field of
the user's hash, and counts only while its process renews the process's lease: what a crash leaves
behind stops counting when that lease lapses.
"""

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import redis.asyncio
from redis.exceptions import RedisError

from mockmarket.core.redis import key

# A hash that nobody changes for this long is of nobody: sockets idle out after an hour.
_HASH_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The ceilings. A bucket of `changes_per_minute` refills evenly."""

    instruments_max: int
    sockets_max: int
    changes_per_minute: int

    @property
    def refill_seconds(self) -> float:
        return 60 / self.changes_per_minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to a change: what may be followed, what not, or in how many seconds to ask.

    `count` is how many instruments the user follows afterwards, over all sockets.
    """

    accepted: list[str]
    rejected: list[str]
    count: int
    retry_after: float = 0.0


@dataclass(slots=True)
class Bucket:
    """Tokens of a token bucket, and when they were counted (seconds)."""

    tokens: float
    at: float

    def take(self, *, size: int, refill_seconds: float, now: float) -> float:
        """Take one token; returns 0, or the seconds until there is one."""
        self.tokens = min(size, self.tokens + max(0.0, now - self.at) / refill_seconds)
        self.at = now
        if self.tokens >= 1 - 1e-9:
            self.tokens -= 1
            return 0.0
        return (1 - self.tokens) * refill_seconds


@dataclass(slots=True)
class Allowance:
    """One user's sockets and the instruments of each."""

    rules: Rules
    sockets: dict[str, list[str]] = field(default_factory=dict)
    bucket: Bucket | None = None

    def connect(self, socket_id: str) -> bool:
        """Take a place; False when all are taken."""
        if len(self.sockets) >= self.rules.sockets_max:
            return False
        self.sockets[socket_id] = []
        return True

    def change(self, socket_id: str, wanted: Sequence[str], *, now: float) -> Decision:
        """Let the socket follow `wanted`, as much of it as the ceiling holds, in order."""
        own = self.sockets.get(socket_id, [])
        others = {name for id_, names in self.sockets.items() if id_ != socket_id for name in names}
        if self.bucket is None:
            self.bucket = Bucket(float(self.rules.changes_per_minute), now)
        wait = self.bucket.take(
            size=self.rules.changes_per_minute,
            refill_seconds=self.rules.refill_seconds,
            now=now,
        )
        if wait:
            count = len(others | set(own))
            return Decision(accepted=own, rejected=[], count=count, retry_after=wait)
        accepted: list[str] = []
        rejected: list[str] = []
        held = set(others)
        for name in wanted:
            if name in held or len(held) < self.rules.instruments_max:
                held.add(name)
                accepted.append(name)
            else:
                rejected.append(name)
        self.sockets[socket_id] = accepted
        return Decision(accepted=accepted, rejected=rejected, count=len(held))

    def release(self, socket_id: str) -> None:
        """Give the place back."""
        self.sockets.pop(socket_id, None)


# Both scripts first drop the fields of processes whose lease has lapsed. A field's name is
# `process/socket`, its value the keys joined by line feeds, which no key holds.
_PRUNE = """
local held, sockets = {}, 0
local function names(text)
  local found = {}
  for name in string.gmatch(text, '[^\\n]+') do found[#found + 1] = name end
  return found
end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local process = string.match(all[i], '^(.-)/')
  if redis.call('EXISTS', ARGV[2] .. process) == 0 then
    redis.call('HDEL', KEYS[1], all[i])
  else
    sockets = sockets + 1
    if all[i] ~= ARGV[1] then
      for _, name in ipairs(names(all[i + 1])) do held[name] = true end
    end
  end
end
"""
_CONNECT = (
    _PRUNE
    + """
if sockets >= tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], '')
redis.call('EXPIRE', KEYS[1], ARGV[4])
return 1
"""
)
_CHANGE = (
    _PRUNE
    + """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local size, refill, limit = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local kept = redis.call('HMGET', KEYS[2], 'tokens', 'at')
local tokens = tonumber(kept[1] or size)
tokens = math.min(size, tokens + math.max(0, now - tonumber(kept[2] or now)) / refill)
local own = redis.call('HGET', KEYS[1], ARGV[1]) or ''
local wait = 0
if tokens >= 1 - 1e-9 then tokens = tokens - 1 else wait = (1 - tokens) * refill end
redis.call('HSET', KEYS[2], 'tokens', string.format('%.9f', tokens),
  'at', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[2], math.ceil(size * refill) + 1)
local count = 0
for _ in pairs(held) do count = count + 1 end
local wanted = names(wait > 0 and own or ARGV[7])
local accepted, rejected = {}, {}
for _, name in ipairs(wanted) do
  if held[name] then
    accepted[#accepted + 1] = name
  elseif count < limit or wait > 0 then
    held[name] = true
    count = count + 1
    accepted[#accepted + 1] = name
  else
    rejected[#rejected + 1] = name
  end
end
if wait == 0 then
  redis.call('HSET', KEYS[1], ARGV[1], table.concat(accepted, '\\n'))
  redis.call('EXPIRE', KEYS[1], ARGV[6])
end
return {accepted, rejected, count, tostring(wait)}
"""
)


class Quota:
    """The quotas of every user, kept in Redis; in this process alone while Redis is away."""

    def __init__(
        self, *, rules: Rules, client: "redis.asyncio.Redis", process_id: str, now: Any
    ) -> None:
        self.rules = rules
        self.process_id = process_id
        self._client = client
        self._now = now  # a monotonic clock, for the fallback
        self._connect = client.register_script(_CONNECT)
        self._change = client.register_script(_CHANGE)
        self._local: dict[int, Allowance] = {}
        self._owed: set[tuple[int, str]] = set()  # places that Redis did not take back yet

    async def connect(self, *, user_id: int, socket_id: str) -> bool:
        """Take one of the user's places for a socket; False when all are taken."""
        allowance = self._local.setdefault(user_id, Allowance(self.rules))
        try:
            taken = await self._connect(
                keys=[_user_key(user_id)],
                args=[
                    self._field(socket_id),
                    lease_key(""),
                    self.rules.sockets_max,
                    _HASH_SECONDS,
                ],
            )
        except RedisError:
            return allowance.connect(socket_id)
        if taken:
            allowance.sockets[socket_id] = []
        self._forget_if_gone(user_id)
        return bool(taken)

    async def change(self, *, user_id: int, socket_id: str, wanted: Sequence[str]) -> Decision:
        """Let a socket follow `wanted` (distinct keys, the most wanted first)."""
        allowance = self._local.setdefault(user_id, Allowance(self.rules))
        try:
            accepted, rejected, count, wait = await self._change(
                keys=[_user_key(user_id), key("stream", "bucket", user_id)],
                args=[
                    self._field(socket_id),
                    lease_key(""),
                    self.rules.changes_per_minute,
                    self.rules.refill_seconds,
                    self.rules.instruments_max,
                    _HASH_SECONDS,
                    "\n".join(wanted),
                ],
            )
        except RedisError:
            return allowance.change(socket_id, wanted, now=self._now())
        given = {name: name for name in wanted}  # the caller's strings, not a copy of each
        names = [given.get(text, text) for text in map(bytes.decode, accepted)]
        allowance.sockets[socket_id] = names
        return Decision(
            accepted=names,
            rejected=[name.decode() for name in rejected],
            count=count,
            retry_after=float(wait),
        )

    async def release(self, *, user_id: int, socket_id: str) -> None:
        """Give a socket's place and instruments back; `settle` does what Redis refused."""
        if user_id in self._local:
            self._local[user_id].release(socket_id)
            self._forget_if_gone(user_id)
        self._owed.add((user_id, socket_id))
        with contextlib.suppress(RedisError):
            await self._give_back(user_id, socket_id)

    async def settle(self) -> None:
        """Give back what is owed still: the lease of a living process would keep it for good."""
        for user_id, socket_id in list(self._owed):
            await self._give_back(user_id, socket_id)

    async def _give_back(self, user_id: int, socket_id: str) -> None:
        await self._client.hdel(_user_key(user_id), self._field(socket_id))
        self._owed.discard((user_id, socket_id))

    async def restore(self) -> None:
        """Write every share anew: Redis lost its memory."""
        async with self._client.pipeline(transaction=False) as pipeline:
            for user_id, allowance in self._local.items():
                for socket_id, names in allowance.sockets.items():
                    pipeline.hset(_user_key(user_id), self._field(socket_id), "\n".join(names))
                pipeline.expire(_user_key(user_id), _HASH_SECONDS)
            await pipeline.execute()

    def _field(self, socket_id: str) -> str:
        return f"{self.process_id}/{socket_id}"

    def _forget_if_gone(self, user_id: int) -> None:
        if not self._local[user_id].sockets:
            del self._local[user_id]


def _user_key(user_id: int) -> str:
    return key("stream", "user", user_id)


def lease_key(process_id: str) -> str:
    """Where a process’s lease lies while it is renewed."""
    return key("stream", "lease", process_id)


def lease(
    *,
    keys: dict[str, int],
    depth: Iterable[str],
    topics: Iterable[str],
    users: Collection[int],
    sockets: int,
) -> bytes:
    """What a web process tells the engine: who is connected and what they watch."""
    return msgspec.msgpack.encode(
        {
            "keys": keys,
            "depth": sorted(depth),
            "topics": sorted(topics),
            "users": sorted(users),
            "sockets": sockets,
        }
    )
