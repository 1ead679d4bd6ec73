"""The process's ear on the bus: what it hears, and that it hears again."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mockmarket.core import bus, ear, redis
from tests.support import faulty_redis
from tests.support.faulty_redis import OwnRedis
from tests.support.waiting import eventually_async

own_redis = faulty_redis.own_redis
Heard = list[dict[str, Any] | None]


@contextlib.asynccontextmanager
async def listening(hear: Callable[[dict[str, Any] | None], None]) -> Any:
    """An ear for as long as the block."""
    task = asyncio.create_task(ear.listen("test", hear))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def said(number: int) -> Callable[[], Awaitable[bool]]:
    """Say `number` until somebody may have heard."""

    async def say() -> bool:
        return await asyncio.to_thread(bus.send, "test", {"type": "n", "n": number})

    return say


async def test_begins_with_a_gap_and_hears_in_order(own_redis: OwnRedis) -> None:
    heard: Heard = []
    async with listening(heard.append):
        await eventually_async(lambda: asyncio.sleep(0, heard == [None]))
        for number in range(5):
            assert await said(number)()
        await eventually_async(lambda: asyncio.sleep(0, len(heard) == 6))
    assert heard[1:] == [{"type": "n", "n": number} for number in range(5)]


async def test_one_bad_message_leaves_nobody_deaf(own_redis: OwnRedis) -> None:
    heard: Heard = []

    def hear(message: dict[str, Any] | None) -> None:
        heard.append(message)
        if message and message["n"] == 0:
            raise ValueError("a handler's own fault")

    async with listening(hear):
        await eventually_async(lambda: asyncio.sleep(0, heard == [None]))
        await said(0)()
        redis.client().publish(channel(), b"\xc1 not msgpack")
        await said(1)()
        await eventually_async(lambda: asyncio.sleep(0, len(heard) == 3))
    assert None not in heard[1:], "the connection was given up for a bad message"


@pytest.mark.parametrize("fault", ["kill", "pause", "cut"])
async def test_hears_again_and_says_that_something_may_be_lost(
    own_redis: OwnRedis, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ear, "SILENCE_SECONDS", 0.2)
    heard: Heard = []
    async with listening(heard.append):
        await eventually_async(lambda: asyncio.sleep(0, heard == [None]))
        if fault == "kill":
            await asyncio.to_thread(own_redis.kill)
            await asyncio.sleep(0.6)  # at least one attempt fails
            await asyncio.to_thread(own_redis.start)
        elif fault == "pause":  # no end of the connection tells: only the ping does
            own_redis.pause()
            await asyncio.sleep(1.0)
            own_redis.go_on()
        else:
            redis.client().client_kill_filter(_type="pubsub")
        redis.client.cache_clear()
        await eventually_async(lambda: asyncio.sleep(0, heard.count(None) >= 2))
        await eventually_async(said(7))
        await eventually_async(lambda: asyncio.sleep(0, heard[-1] is not None))
        assert heard[-1] == {"type": "n", "n": 7}


async def test_begins_while_redis_is_away(own_redis: OwnRedis) -> None:
    own_redis.kill()
    heard: Heard = []
    async with listening(heard.append) as task:
        await asyncio.sleep(0.3)
        assert not task.done()
        await asyncio.to_thread(own_redis.start)
        await eventually_async(lambda: asyncio.sleep(0, heard == [None]))


def channel() -> str:
    from django.conf import settings

    return f"{settings.REDIS_PREFIX}__group__test"
