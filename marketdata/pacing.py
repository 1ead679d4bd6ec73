"""The engine's clockwork: loops a second apart, and their end."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

from mockmarket.core import clock

CLOCK_STEP_SECONDS_MIN: Final = 1.0


async def every_second() -> AsyncIterator[int]:
    """1, 2, 3, … a second apart by plan, so that slow turns do not add up."""
    turn, due = 0, clock.monotonic()
    while True:
        turn += 1
        yield turn
        due = max(due + 1.0, clock.monotonic() - 1.0)
        await asyncio.sleep(max(0.0, due - clock.monotonic()))


class ClockWatch:
    """Notices that the machine's clock is set, by the clock that never is. Slewing, as a time
    service does it, is no setting: it makes a millisecond of a second at most."""

    def __init__(self) -> None:
        self._ahead = self._difference()

    def set_by(self) -> float:
        """Seconds by which the clock was set since the last time this was asked; usually 0."""
        before, self._ahead = self._ahead, self._difference()
        step = self._ahead - before
        return step if abs(step) >= CLOCK_STEP_SECONDS_MIN else 0.0

    def _difference(self) -> float:
        return clock.now_ms() / 1000 - clock.monotonic()


async def end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until they are done: a Redis call that answers just then swallows a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=1.0)
