"""A recorded day through the whole engine: the prices of the day, in its order, at any speed."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from marketdata import selectors, services
from marketdata.board import COLUMN, Board
from marketdata.engine import MarketEngine
from marketdata.exchange import recordings, records
from marketdata.exchange.recordings import InMemory, Recorded, Recording
from marketdata.exchange.records import Record
from marketdata.exchange.replay import ReplaySource
from marketdata.upstox import wire
from tests.marketdata.test_engine import Recorder, clean_redis, lease, running
from tests.support.exchange import HDFC, exchange
from tests.support.network import free_port
from tests.support.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("engine")]

__all__ = ["clean_redis"]
# Seconds of the day that are played: at 1x the test takes as long.
SECONDS = 5
COLUMNS = [
    COLUMN[name]
    for name in ("last_price", "previous_close", "open", "high", "low", "volume", "bid", "ask",
                 "bid_quantity", "ask_quantity", "average_price", "open_interest")
]  # fmt: skip
Seen = dict[str, list[tuple[float, ...]]]


class Watcher(Recorder):
    """Keeps the board's columns of a row at each of its ticks, as matching would see them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Seen = defaultdict(list)

    def on_ticks(self, rows: Any, board: Board, now_ms: int) -> None:
        for row in rows:
            self.seen[board.keys[row]].append(tuple(board.values[row, COLUMNS].tolist()))


@pytest.fixture
def replay(settings: Any, clean_redis: Any) -> int:
    """A seeded database, settings of a replay, the port of its exchange."""
    services.seed_universe()
    selectors.forget()
    port = free_port()
    settings.MARKET_SOURCE = "replay"
    settings.UPSTOX_REST_URL = f"http://127.0.0.1:{port}"
    settings.UPSTOX_FEED_URL = f"ws://127.0.0.1:{port}/v3/feed/market-data-feed"
    return port


def some_seconds(shared_data: Path) -> Recording:
    entries = list(recordings.load(shared_data / "recorded", each_max=400))
    middle = entries[len(entries) // 2].at_ms
    return InMemory([entry for entry in entries if middle <= entry.at_ms < middle + SECONDS * 1000])


def expected(recording: Recording) -> Seen:
    """The same records merged one by one, without engine, sockets or clock."""
    board, seen = Board(epoch="e"), defaultdict(list)
    for entry in recording:
        frame = records.frame([records.entry(entry.record, "full")], at_ms=entry.at_ms)
        (tick,) = wire.decode(frame, received_ms=entry.at_ms).ticks
        (row,) = board.merge([tick])
        seen[tick.instrument_key].append(tuple(board.values[row, COLUMNS].tolist()))
    return seen


def played(recording: Recording, *, port: int, speed: float) -> Seen:
    """What a hook of the engine sees of the replay, after what it was told at the start."""
    source = ReplaySource(recording=recording, speed=speed)
    want = {key: len(ticks) for key, ticks in expected(recording).items()}
    hook = Watcher()
    hook.money = set(source.listings)
    with exchange(source, port=port), running(hook) as engine:
        eventually(lambda: source.finished, seconds=60)
        # The snapshot of subscribing comes before them all, and REST's may.
        eventually(lambda: all(len(hook.seen[key]) > count for key, count in want.items()))
        assert engine.gate.rejects == {}
        assert engine.vitals.frames_dropped == 0
    return {key: hook.seen[key][-count:] for key, count in want.items()}


def text(seen: Seen) -> str:
    """As text, exact for floats, NaN equals NaN."""
    return repr(sorted(seen.items()))


def test_prices_are_bit_equal_at_1x(replay, shared_data):
    recording = some_seconds(shared_data)
    want = expected(recording)
    assert sum(len(ticks) for ticks in want.values()) > 20
    assert text(played(recording, port=replay, speed=1)) == text(want)


def test_the_order_is_the_same_at_60x(replay, shared_data):
    recording = some_seconds(shared_data)
    assert text(played(recording, port=replay, speed=60)) == text(expected(recording))


@pytest.mark.parametrize("forgetting", [True, False], ids=["restart", "control"])
def test_a_replay_that_is_started_again_is_believed_again(replay, monkeypatch, forgetting):
    """With the times of the day its first price is older than the last one told before."""
    if not forgetting:
        monkeypatch.setattr(MarketEngine, "_begin_anew", lambda self: None)
    morning = 1_765_770_000_000
    prices = (800.0, 801.0, 802.0)
    recording = InMemory(
        [
            Recorded(
                morning + 500 * number,
                Record(
                    key=HDFC, last_price=price, previous_close=799.0, volume=1_000 * (number + 1),
                    last_trade_ms=morning + 500 * number,
                ),
            )
            for number, price in enumerate(prices)
        ]
    )  # fmt: skip
    hook = Watcher()
    lease("a", {HDFC: 1})
    with running(hook) as engine:
        for turn in range(2):
            source = ReplaySource(recording=recording, speed=1, original_times=True)
            with exchange(source, port=replay):
                hook.seen.clear()
                eventually(lambda s=source: s.finished, seconds=40)
                want = list(prices) if turn == 0 or forgetting else [802.0] * 3
                eventually(lambda w=want: [row[0] for row in hook.seen[HDFC]][-3:] == w, seconds=5)
    assert engine.gate.rejects == {}
