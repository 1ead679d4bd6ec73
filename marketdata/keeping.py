"""What the engine writes down while it runs: the outbox's rest, minutes, last prices."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from marketdata import storage
from marketdata.board import Board
from marketdata.candles import Folder
from mockmarket.core import bus, clock

STORE_EVERY_SECONDS: Final = 30
# Trades of a minute may arrive this long after it; then its candle is written.
MINUTE_GRACE_MS: Final = 3_000


class Keeper:
    """Writes through the engine's database thread; the caller counts failures."""

    def __init__(self, *, in_database: Callable[..., Awaitable[Any]]) -> None:
        self._in_database = in_database
        self._stored: npt.NDArray[np.float64] = np.empty((0, 0))

    async def turn(self, board: Board, folder: Folder, *, second: int, at: datetime) -> None:
        """What one second asks for."""
        await self._in_database(bus.relay_unpublished, at=at)
        folder.close_before(at_ms=clock.to_ms(at) - MINUTE_GRACE_MS)
        closed = folder.take_closed()
        if closed:
            await self._in_database(storage.store_minutes, bars=closed)
        if second % STORE_EVERY_SECONDS == 0:
            await self.store(board, at=at)

    async def store(self, board: Board, *, at: datetime) -> None:
        """Upsert the last prices that changed since the last time."""
        values = board.values.copy()
        known = self._stored
        rows = {
            key: values[row].tolist()
            for row, key in enumerate(board.keys)
            if row >= len(known) or not np.array_equal(values[row], known[row], equal_nan=True)
        }
        if rows:
            await self._in_database(storage.store_last_prices, rows=rows, at=at)
        self._stored = values
