"""From the engine's batches to the rows of the fan-out: epochs, gaps, names."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from marketdata.board import DEPTH_COLUMNS, FIELDS
from marketdata.mirror import Mirror
from marketdata.stream.fanout import Fanout, Ints


class BoardFeed:
    """Applies batches and snapshots of the board to a fan-out, and to the process's mirror.

    A batch is always applied as far as it can be; a gap (or an unknown epoch) only means that
    some rows may lag until a snapshot that covers it is loaded.
    """

    def __init__(self, *, fanout: Fanout, mirror: Mirror) -> None:
        self._fanout = fanout
        self._mirror = mirror
        self.epoch = ""
        self.seq = 0
        self.needed_seq = 0  # the snapshot that closes the gap has at least this number
        self._rows: Ints = np.zeros(0, dtype=np.int64)  # board row -> fan-out row, 0 unknown
        self._row_seqs: Ints = np.zeros(0, dtype=np.int64)

    def apply(self, batch: Mapping[str, Any]) -> bool:
        """Apply a `market.batch`. False when a snapshot must be loaded."""
        self._mirror.apply(batch)
        seq = int(batch["seq"])
        if batch["epoch"] != self.epoch:
            self.needed_seq = seq
            return False
        complete = seq <= self.seq + 1
        if not complete:
            self.needed_seq = max(self.needed_seq, seq)
        for row, key in batch["names"]:
            self._name(int(row), str(key))
        rows = np.frombuffer(batch["rows"], dtype=np.int32).astype(np.int64)
        values = np.frombuffer(batch["values"]).reshape(len(rows), len(FIELDS))
        inside = rows < len(self._rows)
        rows, values = rows[inside], values[inside]
        self._row_seqs[rows] = seq
        self._update(rows, values)
        self.seq = max(self.seq, seq)
        return complete

    def load(self, snapshot: Mapping[str, Any]) -> bool:
        """Apply the board's snapshot. False when it is older than the gap, or unreadable."""
        if list(snapshot["fields"]) != list(FIELDS):
            return False
        seq, keys = int(snapshot["seq"]), snapshot["keys"]
        if snapshot["epoch"] != self.epoch:
            self.epoch = str(snapshot["epoch"])
            self.seq = seq
            self._rows = np.zeros(0, dtype=np.int64)
            self._row_seqs = np.zeros(0, dtype=np.int64)
        self._mirror.load(snapshot)
        for row, key in enumerate(keys):
            self._name(row, str(key))
        values = np.frombuffer(snapshot["values"]).reshape(len(keys), len(FIELDS))
        rows = np.arange(len(keys), dtype=np.int64)
        held = self._fanout.values(self._rows[rows])
        differs = ((held != values) & ~(np.isnan(held) & np.isnan(values))).any(axis=1)
        take = differs & (self._row_seqs[rows] <= seq)
        self._update(rows[take], values[take])
        self.seq = max(self.seq, seq)
        return seq >= self.needed_seq

    def depths(self, batch: Mapping[str, Any]) -> list[tuple[str, npt.NDArray[np.float64]]]:
        """The books in a batch, by key."""
        rows = np.frombuffer(batch["depth_rows"], dtype=np.int32).tolist()
        if not rows or batch["epoch"] != self.epoch:
            return []
        books = np.frombuffer(batch["depth"]).reshape(len(rows), DEPTH_COLUMNS)
        return [
            (self._fanout.key(int(self._rows[row])), book)
            for row, book in zip(rows, books, strict=True)
            if row < len(self._rows) and self._rows[row]
        ]

    def _name(self, row: int, key: str) -> None:
        if row >= len(self._rows):
            room = max(1024, 2 * row) - len(self._rows)
            self._rows = np.concatenate([self._rows, np.zeros(room, dtype=np.int64)])
            self._row_seqs = np.concatenate([self._row_seqs, np.zeros(room, dtype=np.int64)])
        self._rows[row] = self._fanout.row(key)

    def _update(self, rows: Ints, values: npt.NDArray[np.float64]) -> None:
        mapped = self._rows[rows]
        named = mapped > 0
        if named.any():
            self._fanout.update(mapped[named], values[named])
