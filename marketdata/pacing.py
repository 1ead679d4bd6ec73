"""The engine's clockwork: loops a second apart, and their end."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from mockmarket.core import clock


async def every_second() -> AsyncIterator[int]:
    """1, 2, 3, … a second apart by plan, so that slow turns do not add up."""
    turn, due = 0, clock.monotonic()
    while True:
        turn += 1
        yield turn
        due = max(due + 1.0, clock.monotonic() - 1.0)
        await asyncio.sleep(max(0.0, due - clock.monotonic()))


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done: a Redis call that answers just then swallows a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)
