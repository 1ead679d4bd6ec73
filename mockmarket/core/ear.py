"""A process's ear on one group of the bus, through every going and coming of Redis.

The channel layer's own receiver keeps what nobody has taken yet in a queue without bound, tells
nobody that it was away, and waits for ever on a peer that left without a word. This one holds one
message at a time, says when some may have been lost, and asks a silent server whether it lives.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Final, NoReturn

import redis.asyncio
from channels.layers import get_channel_layer
from django.conf import settings
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from mockmarket.core import bus

log = logging.getLogger(__name__)

SILENCE_SECONDS: Final = 3.0  # then a ping; without an answer in as long, the connection is dead
RETRY_SECONDS: Final = 0.5

Hear = Callable[[dict[str, Any] | None], None]


async def listen(group: str, hear: Hear) -> NoReturn:
    """Call `hear` with every message of `group`, until cancelled.

    None comes at the start and after each return of Redis: messages before it may be lost. What
    `hear` raises is logged; one bad message leaves nobody deaf.
    """
    deserialize = get_channel_layer().deserialize

    def guarded(data: bytes | None) -> None:
        try:
            hear(None if data is None else deserialize(data))
        except Exception:
            log.exception("A message of the bus could not be handled")

    channel = bus.group_channel(group)
    away = False
    while True:
        # A client of its own for each attempt: what a torn connection leaves goes with it.
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        try:
            await _follow(client, channel, guarded)
        except (RedisError, OSError, RuntimeError, ValueError) as error:
            if not away:
                log.warning("The bus is away (%s); its ear tries again until it is back", error)
            away = True
        else:
            away = False
        finally:
            with contextlib.suppress(RedisError, OSError, RuntimeError):
                await client.aclose()
        await asyncio.sleep(RETRY_SECONDS)


async def _follow(
    client: "redis.asyncio.Redis", channel: str, take: Callable[[bytes | None], None]
) -> None:
    """Take what is published on `channel` until the connection ends; None once subscribed.

    Returns when a connection that worked has ended; raises what kept it from being made.
    """
    pubsub = client.pubsub()
    heard = asked = False
    try:
        await pubsub.subscribe(channel)
        while True:
            message = await pubsub.get_message(timeout=SILENCE_SECONDS)
            if message is None:
                if asked:
                    raise OSError("no answer to a ping")
                asked = True
                await asyncio.wait_for(pubsub.ping(), SILENCE_SECONDS)
                continue
            asked = False
            if message["type"] == "message":
                take(message["data"])
            elif message["type"] == "subscribe":
                heard = True
                take(None)
    except (RedisError, OSError):
        if not heard:
            raise
        log.warning("The bus ended its connection; listening again")
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
