"""A recorded day served again: every record, in order, whatever the speed."""

import random
import threading
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from marketdata import recording
from marketdata.exchange import recordings
from marketdata.exchange.feed_server import Connection, FeedServer
from marketdata.exchange.recordings import InMemory, NoRecording, Recording
from marketdata.exchange.replay import ReplaySource
from marketdata.upstox.feed import Feed
from marketdata.upstox.wire import Frame
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb
from mockmarket.core import clock
from tests.support.exchange import HDFC, exchange, simulated
from tests.support.waiting import eventually

FIXTURES = Path(__file__).parent.parent / "fixtures"


def served(recording: Recording, *, speed: float, **kwargs: Any) -> list[Frame]:
    """What the feed client decodes of a replay, without the snapshots of subscribing."""
    source = ReplaySource(recording=recording, speed=speed, **kwargs)
    frames: list[Frame] = []
    with exchange(source) as server:
        feed = Feed(
            url=server.feed_url,
            token="any",
            on_frame=frames.append,
            on_state=lambda state, reason: None,
        )
        feed.subscribe(list(source.listings), "full")
        feed.start()
        eventually(lambda: source.finished, seconds=100)
        # What was sent last may still be on its way: a further beat says that nothing follows.
        count = -1
        while count != len(frames):
            count = len(frames)
            threading.Event().wait(0.2)
        feed.stop()
    return [frame for frame in frames if frame.ticks and not frame.snapshot]


def assert_reproduced(recording: Recording, frames: list[Frame]) -> None:
    """Last price, volume and best bid and ask of every record, per key in order."""
    ticks: dict[str, list[Any]] = {}
    for frame in frames:
        for tick in frame.ticks:
            ticks.setdefault(tick.instrument_key, []).append(tick)
    records: dict[str, list[Any]] = {}
    for entry in recording:
        records.setdefault(entry.record.key, []).append(entry.record)
    assert {key: len(rows) for key, rows in ticks.items()} == {
        key: len(rows) for key, rows in records.items()
    }
    for key, rows in records.items():
        for record, tick in zip(rows, ticks[key], strict=True):
            assert tick.last_price == (record.last_price or None)
            assert tick.volume == (record.volume or None)
            for side, got in ((record.bids, tick.bids), (record.asks, tick.asks)):
                assert got == (
                    None if side is None else tuple(level for level in side if all(level))
                )


def test_our_own_session_is_reproduced() -> None:
    days = recordings.load(FIXTURES)
    assert_reproduced(days, served(days, speed=60))


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Recording:
    """Four real instruments of 2025-12-15, the first 500 records of each."""
    return recordings.load(shared_data / "recorded", each_max=500)


def test_real_sessions_are_reproduced(real: Recording) -> None:
    """Through real sockets. A reader that is slower than the replay holds it up."""
    assert len(real.overview().firsts) == 4
    assert_reproduced(real, served(real, speed=2_000))


@pytest.mark.fault
@pytest.mark.timeout(600)
def test_the_whole_real_day_is_reproduced(shared_data: Path) -> None:
    """All 84,213 records. The day in half a minute; order and content do not depend on speed."""
    days = recordings.load(shared_data / "recorded")
    assert_reproduced(days, served(days, speed=800))


def test_control_a_source_that_waits_for_nobody_cuts_the_slow_reader(real: Recording) -> None:
    class Impatient(ReplaySource):
        @property
        def patient(self) -> bool:
            return False

    source = Impatient(recording=real, started_ms=0, speed=1e9)
    server = FeedServer(source=source, now_ms=lambda: 1, beat_ms=20)
    reader = Connection(identity="asleep")
    server.open(reader)
    reader.modes = dict.fromkeys(source.listings, "full")
    while not source.finished:
        server.beat(1)
    assert reader.cut_code == 1013


def test_a_patient_source_cuts_only_who_reads_nothing_at_all(real: Recording) -> None:
    source = ReplaySource(recording=real, started_ms=0, speed=1e9)
    server = FeedServer(source=source, now_ms=lambda: 1, beat_ms=20)
    reader = Connection(identity="asleep")
    server.open(reader)
    reader.modes = dict.fromkeys(source.listings, "full")
    for second in range(15):
        server.beat(second * 1_000)
    assert not source.finished
    assert reader.cut_code is None
    server.beat(20_000)
    assert reader.cut_code == 1013
    server.close(reader)
    while not source.finished:
        server.beat(20_000)


def test_original_times_are_kept_on_request() -> None:
    days = recordings.load(FIXTURES)
    source = ReplaySource(recording=days, started_ms=1_000, speed=1e9, original_times=True)
    frames = source.due(now_ms=10_000, wanted=source.listings)
    sent = [record for frame in frames for record in frame]
    assert sent == [entry.record for entry in days]


def test_times_are_moved_to_now_and_squeezed_by_speed() -> None:
    days = recordings.load(FIXTURES)
    source = ReplaySource(recording=days, started_ms=2_000_000_000_000, speed=10)
    assert source.due(now_ms=2_000_000_000_000 - 1, wanted=source.listings) == []
    first = source.due(now_ms=2_000_000_000_000, wanted=source.listings)[0][0]
    assert 1_999_999_999_000 < first.last_trade_ms <= 2_000_000_000_000
    received = [entry.at_ms for entry in days]
    span = received[-1] - received[0]
    source.due(now_ms=2_000_000_000_000 + span // 10 + 1, wanted=[])
    assert source.finished


def test_a_recorder_whose_clock_was_late_replays_no_trade_of_the_future() -> None:
    days = recordings.load(FIXTURES)
    late = InMemory([replace(entry, at_ms=entry.at_ms - 8_000) for entry in days])
    assert days.overview().ahead_ms == 0
    assert late.overview().ahead_ms > 7_000
    source = ReplaySource(recording=late, started_ms=2_000_000_000_000)
    told = 0
    for second in range(120):
        now_ms = 2_000_000_000_000 + second * 1_000
        for (record,) in source.due(now_ms=now_ms, wanted=source.listings):
            assert record.last_trade_ms <= now_ms
            told += 1
    assert told == 120


def test_it_begins_when_somebody_listens() -> None:
    days = recordings.load(FIXTURES)
    source = ReplaySource(recording=days, speed=1)
    (key,) = source.listings
    first = next(iter(days)).record
    for hour in range(3):
        now_ms = 2_000_000_000_000 + hour * 3_600_000
        assert source.due(now_ms=now_ms, wanted=[]) == []
        (state,) = source.records(keys=[key], now_ms=now_ms)
        assert (state.last_price, state.volume) == (first.last_price, first.volume)
        assert now_ms - 60_000 < state.last_trade_ms <= now_ms
    assert source.due(now_ms=now_ms, wanted=[key])[0][0].last_price == first.last_price


def test_a_directory_without_a_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoRecording):
        recordings.load(tmp_path)
    (tmp_path / "notes.json").write_text('[{"a": 1}]')
    with pytest.raises(NoRecording):
        recordings.load(tmp_path)
    with pytest.raises(NoRecording):
        recordings.load(tmp_path / "nowhere")


def test_a_day_is_named_by_its_date_its_file_or_its_directory(tmp_path: Path) -> None:
    for day in (date(2026, 11, 19), date(2026, 11, 20)):
        writer = recording.Writer(directory=tmp_path, day=day)
        writer.write(b"damaged", received_ms=0)
        response = pb.FeedResponse(type=pb.live_feed)
        response.feeds[HDFC].ltpc.ltp = float(day.day)
        writer.write(response.SerializeToString(), received_ms=1_000)
        writer.close()
    path = recordings.find("2026-11-20", recordings=tmp_path)
    assert path == tmp_path / "2026-11-20.frames"
    # Read as a stream; what was garbage when it was recorded is passed over.
    assert [entry.record.last_price for entry in recordings.load(path)] == [20.0]
    assert recordings.find(str(tmp_path), recordings=tmp_path) == tmp_path
    with pytest.raises(NoRecording, match="2026-11-19, 2026-11-20"):
        recordings.load(tmp_path)


def test_what_the_recorder_writes_replays_equal(tmp_path: Path) -> None:
    raw: list[tuple[bytes, int]] = []
    with exchange(simulated(tick_rate=20.0)) as server:
        feed = Feed(
            url=server.feed_url,
            token="any",
            on_frame=lambda frame: None,
            on_state=lambda state, reason: None,
            on_raw=lambda data, at: raw.append((data, at)),
        )
        feed.subscribe([HDFC], "full")
        feed.start()
        eventually(lambda: len(raw) > 30, seconds=20)
        feed.stop()
    writer = recording.Writer(
        directory=tmp_path, day=clock.from_ms(raw[0][1]).astimezone(clock.IST).date()
    )
    for data, at in raw:
        writer.write(data, received_ms=at)
    writer.close()
    assert list(recording.read(writer.path)) == [(at, data) for data, at in raw]
    days = recordings.load(tmp_path)
    assert_reproduced(days, served(days, speed=1))


def test_a_crash_costs_at_most_the_last_block(tmp_path: Path) -> None:
    day = clock.from_ms(0).date()
    writer = recording.Writer(directory=tmp_path, day=day)
    for number in range(100):
        writer.write(b"frame %d" % number, received_ms=number)
        if number % 10 == 9:
            writer.flush()
    writer.close()
    whole = writer.path.read_bytes()
    random.seed(1)
    for _ in range(50):
        cut = random.randrange(len(whole))
        writer.path.write_bytes(whole[:cut])
        read = list(recording.read(writer.path))
        assert read == [(n, b"frame %d" % n) for n in range(len(read))]
        assert len(read) % 10 == 0
        again = recording.Writer(directory=tmp_path, day=day)
        again.write(b"after", received_ms=1)
        again.close()
        assert list(recording.read(writer.path)) == [*read, (1, b"after")]


def test_a_flipped_bit_ends_reading_there(tmp_path: Path) -> None:
    writer = recording.Writer(directory=tmp_path, day=clock.from_ms(0).date())
    for number in range(5):
        writer.write(b"x" * 50, received_ms=number)
        writer.flush()
    writer.close()
    damaged = bytearray(writer.path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    writer.path.write_bytes(bytes(damaged))
    assert len(list(recording.read(writer.path))) < 5
