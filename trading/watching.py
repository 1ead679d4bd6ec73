"""Good-till-triggered legs in memory: which of them a tick reaches. One owner: the engine."""

import uuid
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from marketdata.board import COLUMN, Board
from trading.gtt import Watched
from trading.matching import CONTINUOUS

_LAST = COLUMN["last_price"]
_INFINITY = float("inf")

Fired = tuple[uuid.UUID, str]


class Watch:
    """Highest lower trigger and lowest upper trigger a row, and the instructions behind them."""

    def __init__(self) -> None:
        self._by_row: dict[int, list[Watched]] = {}
        self._lower = np.full(1024, -_INFINITY)
        self._upper = np.full(1024, _INFINITY)

    def replace(self, watched: Iterable[Watched], board: Board) -> None:
        """Watch exactly these."""
        self._by_row = {}
        for one in watched:
            self._by_row.setdefault(board.row(one.instrument_key), []).append(one)
        size = max(1024, 2 * len(board))
        self._lower = np.full(size, -_INFINITY)
        self._upper = np.full(size, _INFINITY)
        for row, found in self._by_row.items():
            self._set_edges(row, found)

    def keys(self) -> set[str]:
        """Instruments watched."""
        return {one.instrument_key for found in self._by_row.values() for one in found}

    def on_ticks(
        self, rows: npt.NDArray[np.int32], board: Board, phases: Mapping[str, str]
    ) -> list[Fired]:
        """The legs that these rows' last prices reach in continuous trading; each is told once."""
        if not self._by_row:
            return []
        known = rows[rows < len(self._lower)]
        last = board.values[known][:, _LAST]
        hit = (last <= self._lower[known]) | (last >= self._upper[known])
        fired: list[Fired] = []
        for row in known[hit].tolist():
            price = float(board.values[row][_LAST])
            kept: list[Watched] = []
            for one in self._by_row[row]:
                if phases.get(one.market_name) != CONTINUOUS:
                    kept.append(one)
                elif one.lower is not None and price <= float(one.lower):
                    fired.append((one.id, "LOWER"))
                elif one.upper is not None and price >= float(one.upper):
                    fired.append((one.id, "UPPER"))
                else:
                    kept.append(one)
            self._by_row[row] = kept
            self._set_edges(row, kept)
        return fired

    def _set_edges(self, row: int, found: list[Watched]) -> None:
        self._lower[row] = max(
            (float(one.lower) for one in found if one.lower is not None), default=-_INFINITY
        )
        self._upper[row] = min(
            (float(one.upper) for one in found if one.upper is not None), default=_INFINITY
        )
