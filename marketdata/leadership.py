"""One active engine: a lease in Redis with a fencing token, the others stand by.

The token grows with every change of hands. It is part of the board's epoch, and the snapshot in
Redis is written only by the holder of the newest token, so an engine that was paused past its
lease cannot overwrite its successor's work.

A lease runs out by itself when its holder's machine is lost. A holder that died on this machine is
seen to be dead, so that its successor need not wait: it holds the database's fence in any case.
"""

import uuid

import redis
import redis.asyncio

from mockmarket.core import redis as store
from mockmarket.core import vitality

# Renewed each second; a machine that stands still for longer has lost the market anyway.
LEASE_MS = 8_000

# ARGV[3]: a holder that is known to be dead, or nothing. Returns the living holder, or the token.
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and holder ~= ARGV[3] then return holder end
local token = redis.call('INCR', KEYS[2])
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return token
"""
# An expired lease that nobody took may be renewed: Redis restarted, or we were slow.
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
local token = tonumber(redis.call('GET', KEYS[2]) or '0')
if token > tonumber(ARGV[3]) then return 0 end
if token < tonumber(ARGV[3]) then redis.call('SET', KEYS[2], ARGV[3]) end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_FENCED_SET = """
if tonumber(redis.call('GET', KEYS[2]) or '0') > tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
return 1
"""


class Leadership:
    """This process's claim to be the active engine."""

    def __init__(self, connection: redis.asyncio.Redis) -> None:
        self._redis = connection
        # Two in one process are two.
        self.owner = f"{vitality.identity()} {uuid.uuid4().hex[:8]}"
        self.token = 0
        lease, fence = store.key("engine", "lease"), store.key("engine", "token")
        self._keys = (lease, fence)
        self._take = connection.register_script(_TAKE)
        self._renew = connection.register_script(_RENEW)
        self._release = connection.register_script(_RELEASE)
        self._set = connection.register_script(_FENCED_SET)

    async def take(self) -> bool:
        """Become the active engine if nobody is; raises redis.RedisError when Redis is away."""
        found = await self._take(keys=self._keys, args=[self.owner, LEASE_MS, ""])
        if isinstance(found, bytes):
            holder = found.decode()
            if not vitality.is_gone(holder.partition(" ")[0]):
                return False
            # Of two that see it dead, the script lets one take its place.
            found = await self._take(keys=self._keys, args=[self.owner, LEASE_MS, holder])
        if isinstance(found, bytes):
            return False
        self.token = int(found)
        return True

    async def renew(self) -> bool:
        """Keep the lease; False when another engine took over."""
        kept = await self._renew(keys=self._keys, args=[self.owner, LEASE_MS, self.token])
        return bool(kept)

    async def release(self) -> None:
        """Give the lease up, so that a stand-by starts at once."""
        try:
            await self._release(keys=self._keys[:1], args=[self.owner])
        except redis.RedisError:
            return  # it expires by itself

    async def write(self, name: str, value: bytes, *, ttl_ms: int) -> bool:
        """SET a key as the newest engine; False when a newer one exists."""
        written = await self._set(keys=(name, self._keys[1]), args=[value, self.token, ttl_ms])
        return bool(written)
