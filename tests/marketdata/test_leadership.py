"""The engine's lease: from the dead at once, from the living never."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from marketdata.leadership import LEASE_MS, Leadership
from mockmarket.core import redis as store

DIE = """
import asyncio, os
import django; django.setup()
from marketdata.leadership import Leadership
from mockmarket.core import redis as store
async def main():
    assert await Leadership(store.async_client()).take()
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""


@pytest.fixture
async def connection() -> AsyncIterator[redis.asyncio.Redis]:
    client = store.async_client()
    await client.delete(store.key("engine", "lease"), store.key("engine", "token"))
    yield client
    await client.delete(store.key("engine", "lease"), store.key("engine", "token"))
    await client.aclose()


async def test_the_place_of_a_killed_engine_is_taken_at_once(
    connection: redis.asyncio.Redis, settings
) -> None:
    names = {"REDIS_URL": settings.REDIS_URL, "REDIS_PREFIX": settings.REDIS_PREFIX}
    environment = {**os.environ, **names, "DJANGO_SETTINGS_MODULE": "mockmarket.settings"}
    child = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", DIE], env=environment, check=False
    )
    assert child.returncode == -9
    # Its lease would stand for eight seconds: made to stand for ever, for a slow machine.
    assert await connection.persist(store.key("engine", "lease"))
    first, second = Leadership(connection), Leadership(connection)
    assert sorted(await asyncio.gather(first.take(), second.take())) == [False, True]
    assert max(first.token, second.token) == 2


async def test_an_engine_that_lives_or_is_elsewhere_keeps_it(
    connection: redis.asyncio.Redis,
) -> None:
    first, second = Leadership(connection), Leadership(connection)
    assert await first.take()
    assert not await second.take()
    assert await first.renew()
    await connection.set(store.key("engine", "lease"), "elsewhere:1/4194304:1 abc", px=LEASE_MS)
    assert not await second.take()
