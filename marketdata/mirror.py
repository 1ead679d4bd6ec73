"""A process's read-only copy of the quote board.

Web processes feed it from the bus: `load` a snapshot, then `apply` every batch; `apply` says
when a batch was missed, and the caller loads a snapshot again. Other processes (Celery, tests,
a web process whose hub is not running) read the snapshot that the engine leaves in Redis each
second. Reads take one lock for microseconds and may come from any thread.
"""

import threading
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import redis

from marketdata.board import COLUMN, DEPTH_COLUMNS, FIELDS
from mockmarket.core import clock
from mockmarket.core import redis as store

# How old the copy may be before a reader without a hub asks Redis again.
RELOAD_AFTER_SECONDS = 1.0
# A hub that has not spoken for this long is taken to be gone.
FED_WITHIN_SECONDS = 3.0


class Mirror:
    """The board as last heard of: rows by key, columns by field."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self.epoch = ""
        self.seq = 0
        self.at_ms = 0
        self.keys: list[str] = []
        self._index: dict[str, int] = {}
        self._values = np.empty((0, len(FIELDS)))
        self._depth = np.empty((0, DEPTH_COLUMNS))
        # The batch that last brought a row of the table, of the depth.
        self._row_seqs = np.zeros(0, dtype=np.int64)
        self._depth_seqs = np.zeros(0, dtype=np.int64)
        self._needed_seq = 0  # the snapshot that closes a gap has at least this number
        self.status: dict[str, Any] = {}
        self._fed_at = -1e9
        self._asked_at = -1e9

    # --- Feeding ------------------------------------------------------------------------
    def load(self, snapshot: Mapping[str, Any]) -> bool:
        """Take a snapshot; False when it is of a layout this code cannot read.

        The engine leaves one a second and sends fifty batches meanwhile, so it is mostly older
        than what was heard: rows that came by a later batch stay.
        """
        if list(snapshot["fields"]) != list(FIELDS):
            return False
        keys, seq = list(snapshot["keys"]), int(snapshot["seq"])
        values = np.frombuffer(snapshot["values"]).reshape(len(keys), len(FIELDS))
        depth = np.frombuffer(snapshot["depth"]).reshape(len(keys), DEPTH_COLUMNS)
        with self._lock:
            if snapshot["epoch"] != self.epoch or seq >= self.seq:
                self._begin(str(snapshot["epoch"]), room=max(1024, 2 * len(keys)))
                self.seq, self.at_ms = seq, int(snapshot["at_ms"])
            for row, key in enumerate(keys):
                self._name(row, str(key))
            rows = np.flatnonzero(self._row_seqs[: len(keys)] <= seq)
            self._values[rows] = values[rows]
            rows = np.flatnonzero(self._depth_seqs[: len(keys)] <= seq)
            self._depth[rows] = depth[rows]
            if seq >= self._needed_seq:
                self._needed_seq = 0
            self.status = dict(snapshot.get("status") or {})
        return True

    def _begin(self, epoch: str, *, room: int) -> None:
        """Forget every row: a snapshot brings them all."""
        if epoch != self.epoch:
            self._needed_seq = 0
        self.epoch = epoch
        self.keys, self._index = [], {}
        self._values = np.full((room, len(FIELDS)), np.nan)
        self._depth = np.full((room, DEPTH_COLUMNS), np.nan)
        self._row_seqs = np.zeros(room, dtype=np.int64)
        self._depth_seqs = np.zeros(room, dtype=np.int64)

    def apply(self, batch: Mapping[str, Any]) -> bool:
        """Apply a `market.batch`. False when one before it was missed: load a snapshot.

        A batch that the copy holds already is skipped and counts as applied.
        """
        seq = int(batch["seq"])
        with self._lock:
            if batch["epoch"] != self.epoch:
                return False
            complete = seq <= self.seq + 1
            if not complete:
                self._needed_seq = seq
            if not self._needed_seq:
                self._fed_at = clock.monotonic()
            if seq <= self.seq:
                return True
            for row, key in batch["names"]:
                self._name(int(row), str(key))
            rows, values = _unpacked(batch["rows"], batch["values"], known=len(self.keys))
            self._values[rows], self._row_seqs[rows] = values, seq
            rows, depth = _unpacked(batch["depth_rows"], batch["depth"], known=len(self.keys))
            self._depth[rows], self._depth_seqs[rows] = depth, seq
            self.seq, self.at_ms = seq, int(batch["at_ms"])
        return complete

    def _name(self, row: int, key: str) -> None:
        if row != len(self.keys):
            return
        self.keys.append(key)
        self._index[key] = row
        if row >= len(self._values):
            room = len(self._values) or 1024
            self._values = np.vstack([self._values, np.full((room, len(FIELDS)), np.nan)])
            self._depth = np.vstack([self._depth, np.full((room, DEPTH_COLUMNS), np.nan)])
            none = np.zeros(room, dtype=np.int64)
            self._row_seqs = np.concatenate([self._row_seqs, none])
            self._depth_seqs = np.concatenate([self._depth_seqs, none])

    def heard(self, status: Mapping[str, Any]) -> None:
        """Keep the newest `market.status`."""
        with self._lock:
            self.status = dict(status)

    # --- Reading ------------------------------------------------------------------------
    def refresh(self) -> None:
        """Load the engine's snapshot from Redis, unless a hub feeds this copy or it is fresh.

        Redis being away leaves the copy as it is; its age tells the reader.
        """
        now = clock.monotonic()
        if now - self._fed_at < FED_WITHIN_SECONDS or now - self._asked_at < RELOAD_AFTER_SECONDS:
            return
        if not self._loading.acquire(blocking=False):
            return  # another thread is at it
        try:
            self._asked_at = now
            snapshot = read_snapshot()
            if snapshot is not None:
                self.load(snapshot)
        finally:
            self._loading.release()

    def row(self, key: str) -> npt.NDArray[np.float64] | None:
        """A copy of the FIELDS of `key`; None when the board does not know it."""
        with self._lock:
            index = self._index.get(key)
            return None if index is None else self._values[index].copy()

    def rows(self, keys: Iterable[str]) -> dict[str, npt.NDArray[np.float64]]:
        """Copies of the FIELDS of those of `keys` that the board knows."""
        with self._lock:
            found = [(key, self._index[key]) for key in keys if key in self._index]
            taken = self._values[[row for _, row in found]]
        return {key: taken[position] for position, (key, _) in enumerate(found)}

    def depth(self, key: str) -> npt.NDArray[np.float64] | None:
        """A copy of the 20 depth columns of `key`."""
        with self._lock:
            index = self._index.get(key)
            return None if index is None else self._depth[index].copy()

    def table(self) -> tuple[list[str], npt.NDArray[np.float64]]:
        """All keys and a copy of all FIELDS, from one instant."""
        with self._lock:
            return list(self.keys), self._values[: len(self.keys)].copy()

    def last_price(self, key: str) -> float | None:
        """The last price of `key`, None when unknown."""
        row = self.row(key)
        if row is None or np.isnan(row[COLUMN["last_price"]]):
            return None
        return float(row[COLUMN["last_price"]])


def _unpacked(
    rows: bytes, values: bytes, *, known: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """Rows of a batch and what they hold, but those whose name came with a batch that was lost."""
    at = np.frombuffer(rows, dtype=np.int32)
    table = np.frombuffer(values).reshape(len(at), -1) if len(at) else np.empty((0, 1))
    return at[at < known], table[at < known]


@cache
def mirror() -> Mirror:
    """This process's copy."""
    return Mirror()


def read_snapshot() -> dict[str, Any] | None:
    """The engine's newest snapshot from Redis; None when there is none or Redis is away."""
    try:
        raw = store.client().get(store.key("board"))
    except redis.RedisError:
        return None
    if not isinstance(raw, bytes):
        return None
    snapshot: dict[str, Any] = msgspec.msgpack.decode(raw)
    return snapshot
