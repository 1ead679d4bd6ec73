"""Who gets which price: subscriptions as rows of a matrix, progress as one cursor a socket. Pure.

Each instrument is encoded once, when it changed, into two pieces of JSON: the short one (what
moves with every tick) and the full one (with the day's range, previous close and source). A pass
compares the stamps of a socket's rows with its cursor in one vectorised step and joins the pieces
that are newer. A socket owns no queue: one that was skipped gets the newest values next time.

Row 0 is padding and never changes. Rows are of this process, not of the engine's board: they
survive a new epoch.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from marketdata.board import COLUMN, FIELDS
from marketdata.stream import encode

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DAY: Final = [
    COLUMN[name] for name in ("previous_close", "open", "high", "low", "open_interest", "source")
]
_BATCH_HEAD: Final = b'{"type":"prices_batch","data":{'
_INDICES_HEAD: Final = b'{"type":"indices_update","data":{'
_TAIL: Final = b"}}"


class Fanout:
    """The subscription matrix and the encoded pieces of one process.

    `width` is the most instruments a socket may follow. Not thread-safe: the hub's loop owns it.
    """

    def __init__(self, *, width: int) -> None:
        self.width = width
        self.stamp = 1
        self._index: dict[str, int] = {}
        self._keys: list[str] = [""]
        self._names: list[bytes] = [b""]  # the key in JSON, and a colon
        self._refs: list[int] = [0]
        self._values = np.full((64, len(FIELDS)), np.nan)
        self._stamps: Ints = np.zeros(64, dtype=np.int64)
        self._day_stamps: Ints = np.zeros(64, dtype=np.int64)
        self._day_moved = np.zeros(64, dtype=np.bool_)
        self._short: list[bytes] = [b""]
        self._full: list[bytes] = [b""]  # "" until somebody needs it
        self._dirty: set[int] = set()
        self._rows_of_slot = np.zeros((64, width), dtype=np.int32)  # half the memory of a socket
        self._cursors: Ints = np.zeros(64, dtype=np.int64)
        self._free: list[int] = list(range(63, -1, -1))

    # --- Instruments --------------------------------------------------------------------
    def row(self, key: str) -> int:
        """The row of `key`, allotted on first sight."""
        row = self._index.get(key)
        if row is None:
            row = len(self._keys)
            self._index[key] = row
            self._keys.append(key)
            self._names.append(orjson.dumps(key) + b":")
            self._refs.append(0)
            self._short.append(b"")
            self._full.append(b"")
            if row == len(self._values):
                self._grow_rows(2 * row)
        return row

    def known(self, key: str) -> bool:
        """Whether `key` has a row."""
        return key in self._index

    def shared(self, keys: Sequence[str]) -> list[str]:
        """The same keys as strings that every socket shares; each gets a row."""
        return [self._keys[self.row(key)] for key in keys]

    def key(self, row: int) -> str:
        """The instrument key of a row."""
        return self._keys[row]

    def _grow_rows(self, size: int) -> None:
        used = len(self._values)
        values = np.full((size, len(FIELDS)), np.nan)
        stamps, day_stamps = np.zeros(size, dtype=np.int64), np.zeros(size, dtype=np.int64)
        day_moved = np.zeros(size, dtype=np.bool_)
        values[:used], stamps[:used] = self._values, self._stamps
        day_stamps[:used], day_moved[:used] = self._day_stamps, self._day_moved
        self._values, self._stamps = values, stamps
        self._day_stamps, self._day_moved = day_stamps, day_moved

    def update(self, rows: Ints, values: Floats) -> None:
        """Take new values [rows × FIELDS]; they are encoded by the next `encode`."""
        old = self._values[rows][:, _DAY]
        new = values[:, _DAY]
        moved = ((old != new) & ~(np.isnan(old) & np.isnan(new))).any(axis=1)
        self._day_moved[rows[moved]] = True
        self._values[rows] = values
        self._dirty.update(rows.tolist())

    def values(self, rows: Ints) -> Floats:
        """What the rows hold, [rows × FIELDS]."""
        return self._values[rows]

    def encode(self) -> int:
        """Encode what changed and is followed, under a new stamp. Returns how many rows."""
        refs = self._refs
        rows = [row for row in self._dirty if refs[row]]
        if rows:
            self._encode(rows)
        return len(rows)

    def _encode(self, rows: list[int]) -> None:
        self.stamp += 1
        self._dirty.difference_update(rows)
        array = np.array(rows, dtype=np.int64)
        names, short, full = self._names, self._short, self._full
        for row, piece in zip(rows, encode.ticks(self._values[array]), strict=True):
            short[row] = names[row] + piece
            full[row] = b""
        self._stamps[array] = self.stamp
        moved = array[self._day_moved[array]]
        self._day_stamps[moved] = self.stamp
        self._day_moved[moved] = False

    # --- Sockets ------------------------------------------------------------------------
    def open_slot(self) -> int:
        """A slot without instruments."""
        if not self._free:
            used = len(self._cursors)
            self._rows_of_slot = np.vstack([self._rows_of_slot, np.zeros_like(self._rows_of_slot)])
            self._cursors = np.concatenate([self._cursors, np.zeros_like(self._cursors)])
            self._free = list(range(2 * used - 1, used - 1, -1))
        return self._free.pop()

    def close_slot(self, slot: int) -> None:
        """Give the slot back."""
        self.follow(slot, ())
        self._cursors[slot] = 0
        self._free.append(slot)

    def follow(self, slot: int, keys: Sequence[str]) -> None:
        """Make `keys` everything the slot follows. A snapshot of what is new goes beside it."""
        assert len(keys) <= self.width, "the quota allows more than the matrix holds"
        before = self._rows_of_slot[slot]
        if not before.any():
            self._cursors[slot] = self.stamp  # the snapshot is all it needs
        for row in before.tolist():
            self._refs[row] -= 1
        rows = [self.row(key) for key in keys]
        self._rows_of_slot[slot] = rows + [0] * (self.width - len(rows))
        for row in rows:
            self._refs[row] += 1
        self._refs[0] = 0

    def snapshot(self, keys: Sequence[str]) -> bytes:
        """A `prices_batch` of the newest full state of `keys`."""
        return _BATCH_HEAD + self._whole(keys) + _TAIL

    def newest_stamp(self, keys: Sequence[str]) -> int:
        """The stamp of the newest change of any of `keys`."""
        return int(self._stamps[[self.row(key) for key in keys]].max(initial=0))

    def indices(self, keys: Sequence[str]) -> bytes:
        """An `indices_update` of the newest full state of `keys`."""
        return _INDICES_HEAD + self._whole(keys) + _TAIL

    def _whole(self, keys: Sequence[str]) -> bytes:
        rows = [self.row(key) for key in keys]
        stale = [row for row in rows if row in self._dirty or not self._short[row]]
        if stale:
            self._encode(stale)
        return b",".join([self._full_piece(row) for row in rows])

    def _full_piece(self, row: int) -> bytes:
        piece = self._full[row]
        if not piece:
            day = encode.day(self._values[row])
            piece = self._full[row] = b"%b,%b" % (self._short[row][:-1], day)
        return piece

    def collect(self, slots: Sequence[int]) -> list[tuple[int, list[bytes]]]:
        """The pieces that each of `slots` has not seen, and move their cursors past them."""
        chosen = np.array(slots, dtype=np.int64)
        rows_of = self._rows_of_slot[chosen]
        cursors = self._cursors[chosen]
        fresh = self._stamps[rows_of] > cursors[:, None]
        self._cursors[chosen] = self.stamp
        rows = rows_of[fresh]
        if not len(rows):
            return []
        counts = fresh.sum(axis=1)
        day = self._day_stamps[rows] > np.repeat(cursors, counts)
        pieces = list(map(self._short.__getitem__, rows.tolist()))
        for at in np.flatnonzero(day).tolist():
            pieces[at] = self._full_piece(int(rows[at]))
        found = []
        start = 0
        for slot, count in zip(slots, counts.tolist(), strict=True):
            if count:
                found.append((slot, pieces[start : start + count]))
                start += count
        return found


def batch(pieces: list[bytes]) -> bytes:
    """A `prices_batch` frame of collected pieces; spends the list, to copy the text once."""
    pieces[0] = _BATCH_HEAD + pieces[0]
    pieces[-1] += _TAIL
    return b",".join(pieces)


def singles(pieces: Sequence[bytes]) -> list[bytes]:
    """The same pieces as `price_update` frames, one an instrument."""
    frames = []
    for piece in pieces:
        end = piece.index(b'":{"') + 1  # no encoded key holds this
        frames.append(
            b'{"type":"price_update","instrument_key":%b,"data":%b}'
            % (piece[:end], piece[end + 1 :])
        )
    return frames
