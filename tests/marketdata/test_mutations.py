"""Damaged frames: nothing crashes, no price leaves its band, every refusal is counted."""

import gzip
import json
import random
from pathlib import Path

import pytest
from google.protobuf import json_format

from marketdata.board import COLUMN, Board
from marketdata.gate import Gate, reference_for
from marketdata.upstox import wire
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb

SHARES = ("NSE_EQ_INE027H01010", "NSE_EQ_INE465A01025")
FRAMES = 400


def real_frames(shared_data: Path) -> tuple[list[bytes], dict[str, float], int]:
    """Frames of the recorded shares, their previous closes, and the last frame's time."""
    frames: list[bytes] = []
    closes: dict[str, float] = {}
    newest = 0
    for name in SHARES:
        path = shared_data / "recorded" / f"{name}_data.json.gz"
        for record in json.loads(gzip.decompress(path.read_bytes()))[1000 : 1000 + FRAMES]:
            key = record["instrumentKey"]
            full = record["fullFeed"]["marketFF"]
            response = pb.FeedResponse(type=pb.live_feed)
            json_format.ParseDict(
                {"fullFeed": record["fullFeed"], "requestMode": "full_d5"}, response.feeds[key]
            )
            response.currentTs = int(full["ltpc"]["ltt"]) + 40
            newest = max(newest, response.currentTs)
            closes[key] = float(full["ltpc"]["cp"])
            frames.append(response.SerializeToString())
    return frames, closes, newest


def mutate(frame: bytes, other: bytes, chance: random.Random) -> bytes:
    """One of: bit flips, a truncation, a splice with another frame, a repeated or lost part."""
    damaged = bytearray(frame)
    kind = chance.randrange(5)
    if kind == 0:
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        return bytes(damaged)
    if kind == 1:
        return frame[: chance.randrange(len(frame))]
    if kind == 2:
        return frame[: chance.randrange(len(frame))] + other[chance.randrange(len(other)) :]
    start = chance.randrange(len(frame))
    part = frame[start : start + chance.randint(1, 40)]
    if kind == 3:
        return frame[:start] + part + frame[start:]
    return frame[:start] + frame[start + len(part) :]


def shoot(shared_data: Path, *, count: int, seed: int) -> tuple[Gate, list[tuple[str, str, float]]]:
    """`count` mutated frames through decoding, gate and merge; prices that ever left a band."""
    left: list[tuple[str, str, float]] = []
    frames, closes, newest = real_frames(shared_data)
    chance = random.Random(seed)
    gate = Gate()
    for key, close in closes.items():
        gate.learn(
            {key: reference_for(segment="NSE_EQ", symbol="", grid=0.05, previous_close=close)}
        )
    for _ in range(count):
        damaged = mutate(chance.choice(frames), chance.choice(frames), chance)
        try:
            frame = wire.decode(damaged, received_ms=newest)
        except wire.BadFrame:
            gate.count("bad_frame")
            continue
        # A board that knows nothing yet refuses nothing for its age.
        board = Board(epoch="e", capacity=4)
        if board.merge(gate.sift(frame.ticks, now_ms=newest)):
            left += outside(board, closes)
    return gate, left


PRICES = ("last_price", "open", "high", "low", "bid", "ask", "previous_close", "average_price")


def outside(board: Board, closes: dict[str, float]) -> list[tuple[str, str, float]]:
    """Prices of the known shares that left ±20 % of their previous close."""
    found = []
    for key, close in closes.items():
        row = board.find(key)
        if row is None:
            continue
        for name in PRICES:
            value = float(board.values[row, COLUMN[name]])
            if value == value and abs(value / close - 1) > 0.2001:
                found.append((key, name, value))
    return found


def test_twenty_thousand_damaged_frames_move_no_price_out_of_its_band(shared_data):
    gate, left = shoot(shared_data, count=20_000, seed=1)
    assert left == []
    assert gate.rejects["bad_frame"] > 1_000
    assert sum(gate.rejects.values()) > 2_000
    assert gate.accepted > 300  # damage that hurts no field passes


@pytest.mark.fault
@pytest.mark.timeout(1800)
def test_a_million_damaged_frames_move_no_price_out_of_its_band(shared_data):
    gate, left = shoot(shared_data, count=1_000_000, seed=2)
    assert left == []
    assert sum(gate.rejects.values()) > 500_000


def test_control_without_the_gate_prices_do_leave_their_band(shared_data, monkeypatch):
    monkeypatch.setattr("marketdata.gate.check", lambda tick, **_: None)
    _, left = shoot(shared_data, count=20_000, seed=1)
    assert left
