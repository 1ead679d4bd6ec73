"""Publishes ticks: `python -m benchmarks.streaming.publisher hub|groups`.

Each instrument ticks once a second (times `--rate`) at its own moment, and carries that moment as
its exchange time, so that a client's clock tells the whole way from tick to screen. `hub` sends
one batch a beat as the market engine does; `groups` sends each tick to its instrument's group.
"""

import argparse
import asyncio
import os
import random
import time

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

import django

django.setup()

import msgspec  # noqa: E402
import numpy as np  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402

from benchmarks.streaming.workload import BEAT_SECONDS, INSTRUMENTS, KEYS  # noqa: E402
from marketdata.board import COLUMN, FIELDS  # noqa: E402
from mockmarket.core import bus, redis  # noqa: E402

EPOCH = f"bench-{os.getpid()}"


class Ticks:
    """Which instruments are due, and their values."""

    def __init__(self, rate: float) -> None:
        self._step = 1 / rate
        start = time.time()
        self._due = np.array([start + random.random() * self._step for _ in KEYS])
        self.values = np.full((INSTRUMENTS, len(FIELDS)), np.nan)
        for name, value in (
            ("last_price", 2451.55), ("previous_close", 2449.0), ("open", 2440.0),
            ("high", 2500.0), ("low", 2400.0), ("volume", 1_234_567.0), ("bid", 2451.5),
            ("ask", 2451.6), ("bid_quantity", 120.0), ("ask_quantity", 80.0), ("source", 1.0),
        ):  # fmt: skip
            self.values[:, COLUMN[name]] = value

    def take(self) -> np.ndarray:
        """The rows due by now, stamped with the moment they were due."""
        now = time.time()
        rows = np.flatnonzero(self._due <= now).astype(np.int32)
        self.values[rows, COLUMN["timestamp_ms"]] = np.floor(self._due[rows] * 1000)
        self.values[rows, COLUMN["last_price"]] = np.round(
            2450 + np.random.default_rng().normal(0, 5, len(rows)), 2
        )
        self.values[rows, COLUMN["volume"]] += 17
        behind = self._due[rows] + self._step
        self._due[rows] = np.where(behind < now - 1, now, behind)
        return rows


async def hub(ticks: Ticks) -> None:
    """One batch a beat."""
    client = redis.async_client()
    seq = 0
    snapshot_at = 0.0
    next_at = time.monotonic()
    while True:
        rows = ticks.take()
        if len(rows):
            seq += 1
            message = {
                "type": "market.batch",
                "epoch": EPOCH,
                "seq": seq,
                "at_ms": int(time.time() * 1000),
                "rows": rows.tobytes(),
                "values": ticks.values[rows].tobytes(),
                "names": [[row, key] for row, key in enumerate(KEYS)] if seq == 1 else [],
                "depth_rows": b"",
                "depth": b"",
            }
            await bus.send_async(bus.STREAM_GROUP, message)
        if time.monotonic() - snapshot_at > 1:
            snapshot_at = time.monotonic()
            board = {
                "epoch": EPOCH,
                "seq": seq,
                "at_ms": int(time.time() * 1000),
                "keys": KEYS,
                "fields": list(FIELDS),
                "values": ticks.values.tobytes(),
                "depth": np.full((INSTRUMENTS, 20), np.nan).tobytes(),
            }
            await client.set(redis.key("board"), msgspec.msgpack.encode(board))
        next_at = max(next_at + BEAT_SECONDS, time.monotonic())
        await asyncio.sleep(next_at - time.monotonic())


async def groups(ticks: Ticks) -> None:
    """A message a tick, to the group of its instrument."""
    layer = get_channel_layer()
    while True:
        for row in ticks.take().tolist():
            await layer.group_send(f"i{row}", tick_message(row, ticks.values[row]))
        await asyncio.sleep(BEAT_SECONDS)


def tick_message(row: int, values: np.ndarray) -> dict[str, object]:
    """What a group of an instrument gets."""
    stamp = np.datetime64(int(values[COLUMN["timestamp_ms"]]), "ms")
    return {
        "type": "price.update",
        "instrument_key": KEYS[row],
        "data": {
            "last_price": float(values[COLUMN["last_price"]]),
            "change": 2.55,
            "change_percent": 0.1,
            "volume": int(values[COLUMN["volume"]]),
            "bid": 2451.5,
            "ask": 2451.6,
            "timestamp": f"{stamp}Z",
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("hub", "groups"))
    parser.add_argument("--rate", type=float, default=1.0)
    options = parser.parse_args()
    asyncio.run({"hub": hub, "groups": groups}[options.mode](Ticks(options.rate)))


if __name__ == "__main__":
    main()
