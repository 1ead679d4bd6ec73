"""The engine's hook for alerts: every tick is looked at, firings are kept in the database."""

import asyncio
import logging

import numpy as np
import numpy.typing as npt
from django.db import DatabaseError

from marketdata.board import COLUMN, Board
from marketdata.engine import MarketEngine
from mockmarket.core import clock
from trading import alerting
from trading.alerting import Fired
from trading.alerts import Seen, Volumes, Watch, look

log = logging.getLogger(__name__)

RELOAD_SECONDS = 60


class AlertDesk:
    """Watches in memory by board row; a row that nobody watches costs one array lookup."""

    def __init__(self) -> None:
        self._engine: MarketEngine | None = None
        self._watches: dict[str, list[Watch]] = {}
        self._by_row: dict[int, str] = {}
        self._watched = np.zeros(0, np.bool_)
        self._volumes: dict[str, Volumes] = {}
        self._fired: list[Fired] = []
        self._rearmed: list[int] = []
        self._keeping: asyncio.Task[None] | None = None
        self._second = 0

    async def start(self, engine: MarketEngine) -> None:
        """Read every alert."""
        self._engine = engine
        await self._read()

    async def stop(self) -> None:
        """Keep what has fired, then stop."""
        if self._fired or self._rearmed:
            await self._keep()

    async def on_wake(self, what: str) -> None:
        """Alerts were made or removed."""
        if what == "alerts":
            await self._read()

    def extra_interest(self) -> set[str]:
        """Instruments with alerts."""
        return set(self._watches)

    async def every_second(self, board: Board, now_ms: int) -> None:
        """Follow rows that the board has allotted since; read all anew now and then."""
        self._second += 1
        if self._second % RELOAD_SECONDS == 0:
            await self._read()
        self._index(board)

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Look at what changed where somebody watches."""
        known = rows[rows < len(self._watched)]
        for row in known[self._watched[known]]:
            self._tick(self._by_row[int(row)], board.values[int(row)], now_ms)
        if (self._fired or self._rearmed) and (self._keeping is None or self._keeping.done()):
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def _tick(self, key: str, values: npt.NDArray[np.float64], now_ms: int) -> None:
        seen = _seen(values, now_ms)
        if seen is None:
            return
        before = self._volumes.get(key)
        watches = self._watches[key]
        for place, watch in enumerate(watches):
            outcome = look(watch, seen, before=before)
            watches[place] = outcome.watch
            if outcome.fired:
                at = clock.from_ms(now_ms)
                self._fired.append(Fired(watch.alert_id, seen.last_price, at))
            elif outcome.rearmed:
                self._rearmed.append(watch.alert_id)
        after = before.following(seen) if before else Volumes.begin(seen)
        if after is not None:
            self._volumes[key] = after

    async def _keep(self) -> None:
        assert self._engine is not None
        fired, self._fired = self._fired, []
        rearmed, self._rearmed = self._rearmed, []
        try:
            await self._engine.in_database(
                alerting.keep, fired=fired, rearmed=rearmed, at=clock.now()
            )
        except DatabaseError as error:
            # Nothing was kept: read the truth again, and the next tick fires anew.
            log.warning("alerts were not kept", extra={"error": str(error), "count": len(fired)})
            await self._read()

    async def _read(self) -> None:
        assert self._engine is not None
        try:
            found = await self._engine.in_database(alerting.watches)
        except DatabaseError as error:
            log.warning("alerts were not read", extra={"error": str(error)})
            return
        kept = {w.alert_id: w for watches in self._watches.values() for w in watches}
        unsaved = {one.alert_id for one in self._fired} | set(self._rearmed)
        for watches in found.values():
            for place, watch in enumerate(watches):
                known = kept.get(watch.alert_id)
                if known is not None and (known.high is not None or watch.alert_id in unsaved):
                    # The range, and what is not yet in the database, live only here.
                    watches[place] = known
        self._watches = found
        self._volumes = {key: v for key, v in self._volumes.items() if key in found}
        self._index(self._engine.board)

    def _index(self, board: Board) -> None:
        """Where the watched instruments stand on the board."""
        self._by_row = {row: key for key in self._watches if (row := board.find(key)) is not None}
        watched = np.zeros(max(self._by_row, default=-1) + 1, np.bool_)
        watched[list(self._by_row)] = True
        self._watched = watched


def _seen(values: npt.NDArray[np.float64], now_ms: int) -> Seen | None:
    def known(name: str) -> float | None:
        value = float(values[COLUMN[name]])
        return None if value != value else value

    last = known("last_price")
    if last is None:
        return None
    return Seen(
        at_ms=now_ms,
        last_price=last,
        previous_close=known("previous_close"),
        high=known("high"),
        low=known("low"),
        volume=known("volume"),
    )
