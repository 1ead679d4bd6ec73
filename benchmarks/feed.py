"""Decoding and merging Upstox's full-mode feed on one core, and a whole-market REST sweep.

One "frame" here is one instrument's full-mode record of a real session (five levels, both
bars), as the exchange sends it: bytes are decoded to a tick, the tick passes the sanity gate
and is merged into the quote board. Where the recorded session of 2025-12-15 is at hand its
records are used, else the simulator's; `frames_from` says which.

- frames_per_second: records decoded, checked and merged in a second of one core (goal 20,000)
- decode_us, check_us, merge_us: one record's parts in microseconds
- rival_decode_us: the same bytes through FeedResponse.FromString and MessageToDict, which is
  what the official SDK hands to its callers, before any of our checks or merging
- decode_speedup: rival_decode_us / decode_us
- sweep_ms: a REST sweep of 2,200 shares in five calls of at most 500 keys over a real socket:
  requests, JSON, ticks, checked and merged. The server's work is not in it: answers are ready
- sweep_cpu_ms: the processor time of the same
"""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import django
from google.protobuf.json_format import MessageToDict

from benchmarks import common

RECORDED = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "recorded"
KEYS_PER_FRAME = 5
FRAMES_PER_GROUP = 64
SHARES = 2_200


def measure(*, quick: bool) -> dict[str, Any]:
    """All figures; quick uses fewer records."""
    django.setup()
    frames, origin = _frames(4_000 if quick else 40_000)
    figures: dict[str, Any] = {"frames_from": origin}
    # The best of several rounds: other work on the machine only ever slows a round down.
    rounds = [_feed_round(frames) for _ in range(3 if quick else 5)]
    best = min(rounds, key=lambda parts: sum(parts))
    decode, check, merge = best
    figures["frames_per_second"] = round(1e6 / sum(best))
    figures |= {
        "decode_us": round(decode, 2),
        "check_us": round(check, 2),
        "merge_us": round(merge, 2),
    }
    rival = min(_rival_round(frames) for _ in range(2 if quick else 3))
    figures["rival_decode_us"] = round(rival, 2)
    figures["decode_speedup"] = round(rival / decode, 1)
    return figures | _sweep(rounds=3 if quick else 10)


def _frames(count: int) -> tuple[list[bytes], str]:
    """Feed frames of KEYS_PER_FRAME records each."""
    from marketdata.exchange import recordings, records
    from mockmarket.core import clock

    if RECORDED.is_dir():
        recording = recordings.load(RECORDED, each_max=count // 4)
        found = [entry.record for entry in recording]
        origin = "a recorded session of 2025-12-15"
    else:
        found, origin = _simulated(count), "the simulator"
    now_ms = clock.now_ms()
    frames = []
    entries: dict[str, bytes] = {}
    for record in found:
        if record.key in entries or len(entries) == KEYS_PER_FRAME:
            frames.append(records.frame(list(entries.values()), at_ms=now_ms))
            entries = {}
        entries[record.key] = records.entry(record, "full")
    return frames, origin


def _simulated(count: int) -> list[Any]:
    from marketdata import universe
    from marketdata.exchange.hours import ALWAYS
    from marketdata.exchange.listing import from_universe
    from marketdata.exchange.prices import Market
    from marketdata.exchange.simulated import SimulatedSource
    from mockmarket.core import clock

    market = Market(listings=from_universe(universe.load()), seed=1, hours=ALWAYS)
    source = SimulatedSource(market=market, seed=1, tick_rate=1000, beat_ms=50)
    keys = [row.key for row in market.listings if not row.is_index]
    found: list[Any] = []
    at_ms = clock.now_ms()
    while len(found) < count:
        at_ms += 50
        found += [record for batch in source.due(now_ms=at_ms, wanted=keys) for record in batch]
    return found[:count]


def _feed_round(frames: list[bytes]) -> tuple[float, float, float]:
    """Microseconds a record of (decode, check, merge), in processor time of this thread."""
    from marketdata.board import Board
    from marketdata.gate import Gate
    from marketdata.upstox import wire
    from mockmarket.core import clock

    board, gate = Board(epoch="bench"), Gate()
    now_ms = clock.now_ms()
    decode = check = merge = 0
    count = 0
    # Timed by groups of frames: reading the processor's clock costs as much as half a record.
    for start in range(0, len(frames), FRAMES_PER_GROUP):
        group = frames[start : start + FRAMES_PER_GROUP]
        started = time.thread_time_ns()
        decoded = [wire.decode(frame, received_ms=now_ms).ticks for frame in group]
        after_decode = time.thread_time_ns()
        passed = [gate.sift(ticks, now_ms=now_ms) for ticks in decoded]
        after_check = time.thread_time_ns()
        for ticks in passed:
            board.merge(ticks)
        after_merge = time.thread_time_ns()
        decode += after_decode - started
        check += after_check - after_decode
        merge += after_merge - after_check
        count += sum(map(len, decoded))
    if gate.rejects:
        raise RuntimeError(f"the gate refused real records: {gate.rejects}")
    return decode / count / 1000, check / count / 1000, merge / count / 1000


def _rival_round(frames: list[bytes]) -> float:
    from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb

    frames = frames[: len(frames) // 4]
    count = 0
    started = time.thread_time_ns()
    for frame in frames:
        count += len(MessageToDict(pb.FeedResponse.FromString(frame))["feeds"])
    return (time.thread_time_ns() - started) / count / 1000


def _sweep(*, rounds: int) -> dict[str, float]:
    """A sweep of SHARES against a server whose answers are prepared."""
    from marketdata.board import Board
    from marketdata.gate import Gate
    from marketdata.upstox import rest
    from mockmarket.core import clock

    class Free:
        """The limiter is measured by its own tests; a sweep uses 5 of 50 calls a second."""

        def acquire(self) -> None:
            return

    keys = [f"NSE_EQ|INE{number:09d}" for number in range(SHARES)]
    server = _prepared(keys)
    client = rest.Client(
        base_url=f"http://127.0.0.1:{server.server_port}",
        token="bench",
        limiter=Free(),  # type: ignore[arg-type]
    )
    walls, processors = [], []
    try:
        client.quotes(keys)
        for _ in range(rounds):
            board, gate = Board(epoch="bench"), Gate()
            started, used = time.perf_counter(), time.thread_time()
            ticks = client.quotes(keys)
            board.merge(gate.sift(ticks, now_ms=clock.now_ms()))
            walls.append(time.perf_counter() - started)
            processors.append(time.thread_time() - used)
            if len(ticks) != SHARES:
                raise RuntimeError(f"{len(ticks)} ticks of {SHARES}")
    finally:
        server.shutdown()
        server.server_close()
    return {
        "sweep_ms": round(min(walls) * 1000, 1),
        "sweep_cpu_ms": round(min(processors) * 1000, 1),
    }


def _prepared(keys: list[str]) -> ThreadingHTTPServer:
    """A server that knows the five answers of a sweep by the first key asked for."""
    answers = {}
    for start in range(0, len(keys), 500):
        chunk = keys[start : start + 500]
        data = {f"NSE_EQ:S{place}": _quote(key) for place, key in enumerate(chunk)}
        answers[chunk[0]] = json.dumps({"status": "success", "data": data}).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            first = self.path.split("instrument_key=")[1].split("%2C")[0].replace("%7C", "|")
            body = answers[first]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def _quote(key: str) -> dict[str, Any]:
    from mockmarket.core import clock

    levels = [{"quantity": 10 * n, "price": 100.0 - n / 20, "orders": n} for n in range(1, 6)]
    asks = [{"quantity": 10 * n, "price": 100.0 + n / 20, "orders": n} for n in range(1, 6)]
    now = clock.now()
    return {
        "ohlc": {"open": 99.0, "high": 101.0, "low": 98.5, "close": 100.0},
        "depth": {"buy": levels, "sell": asks},
        "timestamp": now.astimezone(clock.IST).isoformat(timespec="milliseconds"),
        "instrument_token": key,
        "symbol": key[-6:],
        "last_price": 100.0,
        "volume": 123_456,
        "average_price": 99.9,
        "oi": 0.0,
        "net_change": 1.0,
        "total_buy_quantity": 5_000.0,
        "total_sell_quantity": 6_000.0,
        "lower_circuit_limit": 90.0,
        "upper_circuit_limit": 110.0,
        "last_trade_time": str(clock.to_ms(now)),
        "oi_day_high": 0.0,
        "oi_day_low": 0.0,
    }


if __name__ == "__main__":
    import os

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
    common.run("feed", measure)
