"""The engine's hook for good-till-triggered legs: watches them, fires them, follows entries."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog
from django.db import DatabaseError

from marketdata.board import Board
from marketdata.engine import MarketEngine
from mockmarket.core import clock
from trading import gtt
from trading.watching import Fired, Watch

log = structlog.get_logger(__name__)

# What changed within this stretch is read again; everything once a minute.
CHANGED_MARGIN: Final = timedelta(seconds=5)
RELOAD_EVERY_SECONDS: Final = 60
EXPIRE_EVERY_SECONDS: Final = 3600


class GttDesk:
    """`phases` gives the phase of each market as the order desk knows it."""

    def __init__(self, *, phases: Callable[[], Mapping[str, str]]) -> None:
        self._phases = phases
        self._engine: MarketEngine | None = None
        self._fired: deque[Fired] = deque()
        self._busy: asyncio.Task[None] | None = None
        self._second = 0
        self.watch = Watch()
        self.failures = 0

    async def start(self, engine: MarketEngine) -> None:
        """Watch every active instruction."""
        self._engine = engine
        self._fired.clear()
        self._second = 0
        await self._tend()

    async def stop(self) -> None:
        """Let a running round end; what is not fired fires after the next start."""
        if self._busy is not None:
            await asyncio.gather(self._busy, return_exceptions=True)
            self._busy = None

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Note the legs that are reached."""
        fired = self.watch.on_ticks(rows, board, self._phases())
        if fired:
            self._fired.extend(fired)
            self._run()

    def every_second(self, board: Board, now_ms: int) -> None:
        """Follow entries and read what changed."""
        self._second += 1
        self._run()

    def extra_interest(self) -> set[str]:
        """Instruments of watched legs."""
        return self.watch.keys()

    async def on_wake(self, what: str) -> None:
        """The doorbell."""
        if what in {"orders", "contests"}:
            self._run()

    def _run(self) -> None:
        if self._busy is None or self._busy.done():
            self._busy = asyncio.create_task(self._tend_safely(), name="tend gtt")

    async def _tend_safely(self) -> None:
        try:
            await self._tend()
        except DatabaseError:
            self.failures += 1
            log.exception("instructions could not be tended; tried again within a second")

    async def _tend(self) -> None:
        engine = self._engine
        assert engine is not None, "tended after the start"
        while self._fired:
            gtt_id, leg = self._fired[0]
            await engine.in_database(gtt.fire, gtt_id=gtt_id, leg=leg, at=clock.now())
            self._fired.popleft()
        at = clock.now()
        await engine.in_database(gtt.follow_entries, at=at)
        if self._second % EXPIRE_EVERY_SECONDS == 1:
            await engine.in_database(gtt.expire, at=at)
        everything = self._second % RELOAD_EVERY_SECONDS == 0
        if everything or await engine.in_database(gtt.changed, since=at - CHANGED_MARGIN):
            self.watch.replace(await engine.in_database(gtt.watched), engine.board)
