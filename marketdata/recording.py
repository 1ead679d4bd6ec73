"""A day's frames in a file: appended while they arrive, whole after a crash.

A file is a sequence of zlib blocks, each with a header of its own (magic, length, checksum,
count), so a crash costs at most the block under way: reading ends at the first damaged one.
Inside a block stand records of (received_ms, length, frame).
"""

import struct
import zlib
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import BinaryIO, Final

SUFFIX: Final = ".frames"
_BLOCK = struct.Struct("<4sIII")  # magic, compressed length, CRC-32 of it, records
_RECORD = struct.Struct("<QI")  # received_ms, frame length
_MAGIC: Final = b"MMF1"
# A block is written when it holds this much, or when the caller flushes (each second).
BLOCK_BYTES: Final = 256 * 1024
FRAME_BYTES_MAX: Final = 16 * 1024 * 1024


def day_of(what: str) -> date | None:
    """The day that MARKET_REPLAY_DIR tells by its name: a date, a file of ours, or a folder with
    one. None where it tells none."""
    path = Path(what)
    inside = [one.name for one in path.glob(f"*{SUFFIX}")] if path.is_dir() else []
    for name in (path.name, *inside):
        try:
            return date.fromisoformat(name.removesuffix(SUFFIX))
        except ValueError:
            continue
    return None


class Writer:
    """Appends frames to DIRECTORY/YYYY-MM-DD.frames. One writer a file."""

    def __init__(self, *, directory: Path, day: date) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{day.isoformat()}{SUFFIX}"
        _cut_damaged_end(self.path)
        self._file: BinaryIO = self.path.open("ab")
        self._parts: list[bytes] = []
        self._size = 0
        self._count = 0
        self.frames = 0

    def write(self, frame: bytes, *, received_ms: int) -> None:
        self._parts += (_RECORD.pack(received_ms, len(frame)), frame)
        self._size += len(frame)
        self._count += 1
        self.frames += 1
        if self._size >= BLOCK_BYTES:
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the operating system as one block."""
        if not self._count:
            return
        packed = zlib.compress(b"".join(self._parts), level=6)
        header = _BLOCK.pack(_MAGIC, len(packed), zlib.crc32(packed), self._count)
        self._file.write(header + packed)
        self._file.flush()
        self._parts, self._size, self._count = [], 0, 0

    def close(self) -> None:
        self.flush()
        self._file.close()


def read(path: Path) -> Iterator[tuple[int, bytes]]:
    """(received_ms, frame) in the order written; ends quietly where the file is damaged."""
    with path.open("rb") as handle:
        for packed, count in _blocks(handle):
            block = memoryview(zlib.decompress(packed))
            place = 0
            for _ in range(count):
                received_ms, length = _RECORD.unpack_from(block, place)
                place += _RECORD.size
                yield received_ms, bytes(block[place : place + length])
                place += length


def _blocks(handle: BinaryIO) -> Iterator[tuple[bytes, int]]:
    while len(header := handle.read(_BLOCK.size)) == _BLOCK.size:
        magic, length, checksum, count = _BLOCK.unpack(header)
        if magic != _MAGIC or length > FRAME_BYTES_MAX:
            return
        packed = handle.read(length)
        if len(packed) != length or zlib.crc32(packed) != checksum:
            return
        yield packed, count


def _cut_damaged_end(path: Path) -> None:
    """Appending after half a block would hide everything that follows it."""
    if not path.exists():
        return
    with path.open("r+b") as handle:
        good = 0
        for packed, _ in _blocks(handle):
            good += _BLOCK.size + len(packed)
        handle.truncate(good)
