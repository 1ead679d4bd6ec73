"""What may ride on the engine's loop: matching, valuation."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from marketdata.board import Board

if TYPE_CHECKING:
    from marketdata.engine import MarketEngine


class Hook(Protocol):
    """What rides on the engine's loop. Called in the loop's thread; must not block it."""

    async def start(self, engine: "MarketEngine") -> None:
        """The board is filled; nothing has been published yet."""

    async def stop(self) -> None:
        """The engine stops, or lost its lease."""

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Rows that one frame changed, after the merge, before anything is published."""

    def every_second(self, board: Board, now_ms: int) -> Any:
        """Once a second; awaited when it returns an awaitable."""

    def extra_interest(self) -> set[str]:
        """Keys that live orders and open positions need on the stream."""

    async def on_wake(self, what: str) -> None:
        """A doorbell on the engine's group: orders, contests."""
