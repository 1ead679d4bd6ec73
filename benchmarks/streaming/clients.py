"""Thousands of WebSocket clients in one process, cheap enough not to be what is measured.

`python -m benchmarks.streaming.clients PORT SOCKETS SECONDS …` connects, subscribes, then counts
every update of every frame and its age on arrival. Reads bare frames: a library's own cost per
frame would be several times the server's. What came in one turn of the loop is counted together
at its end: an age may be taken for longer than it was, never for shorter.
"""

import argparse
import asyncio
import json
import re
import time
from collections import Counter
from typing import Any

import uvloop

from benchmarks.streaming.workload import followed

_TIME = re.compile(rb'"timestamp": ?"[^T]{10}T(\d\d:\d\d:\d\d\.\d\d\d)')
_DAY_MS = 86_400_000


class Tally:
    """What all sockets saw while `counting`."""

    def __init__(self) -> None:
        self.counting = False
        self.updates = self.frames = self.bytes = self.closed = 0
        self.ages: Counter[int] = Counter()  # milliseconds
        self._millis: dict[bytes, int] = {}
        self._turn: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    def take(self, payload: bytes, *, aged: bool) -> None:
        """Count one frame of prices."""
        self.frames += 1
        self.bytes += len(payload)
        if not aged:
            self.updates += payload.count(b'"last_price"')
            return
        if not self._turn:
            self._loop.call_soon(self._age)
        self._turn.append(payload)

    def _age(self) -> None:
        """Count what came in one turn of the loop, as of the turn's end."""
        stamps = Counter(_TIME.findall(b"".join(self._turn)))
        self._turn.clear()
        now = int(time.time() * 1000) % _DAY_MS
        for stamp, count in stamps.items():
            self.ages[(now - self._since_midnight(stamp)) % _DAY_MS] += count
            self.updates += count

    def _since_midnight(self, stamp: bytes) -> int:
        at = self._millis.get(stamp)
        if at is None:
            if len(self._millis) > 50_000:
                self._millis.clear()
            hours, minutes, seconds = stamp.split(b":")
            at = round((int(hours) * 3600 + int(minutes) * 60 + float(seconds)) * 1000)
            self._millis[stamp] = at
        return at


class Client(asyncio.Protocol):
    """One socket: handshake, subscribe, count."""

    def __init__(self, number: int, tally: Tally, options: argparse.Namespace) -> None:
        self.number, self.tally, self.options = number, tally, options
        self.started = time.monotonic()
        self.ready: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.upgraded = False
        self.rest = b""
        self.farewell = ""
        self.aged = number % options.age_every == 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(
            (
                f"GET /ws/ HTTP/1.1\r\nHost: 127.0.0.1:{self.options.port}\r\n"
                "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                f"Authorization: Bearer mm_bench{self.number}\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        if self.rest:
            data = self.rest + data
            self.rest = b""
        at = 0
        if not self.upgraded:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self.rest = data
                return
            assert data.startswith(b"HTTP/1.1 101"), data[:200]
            self.upgraded = True
            at = end + 4
            if self.options.silent:
                self._done()
            elif self.options.plain:
                self._subscribe()
        size = len(data)
        while size - at >= 2:
            length, head = data[at + 1], 2
            if length == 126:
                head = 4
                length = int.from_bytes(data[at + 2 : at + 4], "big")
            elif length == 127:
                head = 10
                length = int.from_bytes(data[at + 2 : at + 10], "big")
            if size - at < head + length:
                break
            self._frame(data[at], data[at + head : at + head + length])
            at += head + length
        if at < size:
            self.rest = data[at:]

    def _frame(self, first: int, payload: bytes) -> None:
        if first == 0x89:  # ping
            self.transport.write(b"\x8a" + bytes([0x80 | len(payload)]) + b"\0\0\0\0" + payload)
        elif first == 0x88:  # close
            code, reason = int.from_bytes(payload[:2], "big"), payload[2:].decode()
            self.farewell = f"{code} {reason}"
        elif payload.startswith((b'{"type":"prices_batch"', b'{"type": "price')):
            if self.tally.counting:
                self.tally.take(payload, aged=self.aged)
            self._done()
        elif payload.startswith(b'{"type":"welcome"'):
            self._subscribe()

    def _subscribe(self) -> None:
        said = {"action": "subscribe", "instruments": followed(self.number)}
        payload = json.dumps(said).encode()
        # A mask of zeros is a mask.
        head = b"\x81\xfe" + len(payload).to_bytes(2, "big") + b"\0\0\0\0"
        self.transport.write(head + payload)

    def _done(self) -> None:
        if not self.ready.done():
            self.ready.set_result(time.monotonic() - self.started)

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.closed += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(self.farewell or str(exc)))


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Connect all, settle, count; the figures."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    clients: list[Client] = []
    started = time.monotonic()

    async def connect(number: int) -> None:
        client = Client(number, tally, options)
        clients.append(client)
        await loop.create_connection(lambda: client, "127.0.0.1", options.port)
        await client.ready

    numbers = range(options.first, options.first + options.sockets)
    for begin in range(0, options.sockets, options.at_once):
        batch = numbers[begin : begin + options.at_once]
        await asyncio.wait_for(asyncio.gather(*map(connect, batch)), 120)
    took = time.monotonic() - started
    connects = sorted(client.ready.result() for client in clients)
    print("ready", flush=True)
    await asyncio.sleep(options.settle)
    print("counting", flush=True)
    tally.counting = True
    began = time.monotonic()
    await asyncio.sleep(options.seconds)
    tally.counting = False
    seconds = time.monotonic() - began
    return {
        "seconds": seconds,
        "updates": tally.updates,
        "frames": tally.frames,
        "bytes": tally.bytes,
        "closed": tally.closed,
        "ages": sorted(tally.ages.items()),
        "connect_p50_ms": 1000 * connects[len(connects) // 2],
        "connect_p99_ms": 1000 * connects[min(len(connects) - 1, int(len(connects) * 0.99))],
        "all_connected_s": took,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("sockets", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--settle", type=float, default=3.0)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--age-every", type=int, default=1)
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--silent", action="store_true")
    options = parser.parse_args()
    print(json.dumps(uvloop.run(run(options))), flush=True)


if __name__ == "__main__":
    main()
