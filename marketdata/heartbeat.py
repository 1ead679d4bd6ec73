"""The engine's vital signs, for the operations page and health checks. Pure."""

from collections import deque
from datetime import datetime
from typing import Any

from marketdata.board import Board
from marketdata.gate import Gate
from marketdata.interest import Demand


class Vitals:
    """Counters of the loop; `report` turns them into rates over the last seconds."""

    def __init__(self) -> None:
        self.ticks = 0
        self.batches = 0
        self.rows_published = 0
        self.frames_dropped = 0
        self.redis_failures = 0
        self.keep_failures = 0
        self.lag_ms_max = 0
        self._reports: deque[tuple[float, int, int]] = deque(maxlen=6)

    def took(self, *, ticks: int, at_ms: int, oldest_ms: int) -> None:
        """Ticks were merged; `oldest_ms` is when the first of them was received."""
        self.ticks += ticks
        self.lag_ms_max = max(self.lag_ms_max, at_ms - oldest_ms)

    def published(self, *, rows: int) -> None:
        """One batch went out."""
        self.batches += 1
        self.rows_published += rows

    def report(self, *, at: datetime, gate: Gate, board: Board, demand: Demand) -> dict[str, Any]:
        """The figures of this instant; `lag_ms` is the worst since the last report."""
        self._reports.append((at.timestamp(), self.ticks, self.batches))
        since, ticks, batches = self._reports[0]
        seconds = max(at.timestamp() - since, 1e-9)
        lag, self.lag_ms_max = self.lag_ms_max, 0
        return {
            "at": at.isoformat(),
            "ticks": self.ticks,
            "ticks_per_second": round((self.ticks - ticks) / seconds, 1),
            "batches_per_second": round((self.batches - batches) / seconds, 1),
            "rows_published": self.rows_published,
            "lag_ms": lag,
            "frames_dropped": self.frames_dropped,
            "redis_failures": self.redis_failures,
            "keep_failures": self.keep_failures,
            "rejects": dict(gate.rejects),
            "instruments": len(board),
            "sockets": demand.sockets,
            "users": len(demand.users),
            "watched": len(demand.watchers),
            "web_processes": demand.processes,
        }
