"""Bars from ticks: a fold, checked against arithmetic and against Upstox's own bars."""

import gzip
import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.candles import MINUTE_MS, Bar, Folder, bucket_start, derive
from marketdata.quotes import Tick
from mockmarket.core.clock import IST

ACME = "NSE_EQ|INE000A01010"
NINE_FIFTEEN = int(datetime(2025, 12, 15, 9, 15, tzinfo=IST).timestamp() * 1000)


def tick(at: int, price: float, volume: int | None = None) -> Tick:
    moment = NINE_FIFTEEN + at
    return Tick(
        instrument_key=ACME, exchange_ms=moment, received_ms=moment, source="stream",
        last_price=price, last_trade_ms=moment, volume=volume,
    )  # fmt: skip


def fold(ticks: list[Tick]) -> list[Bar]:
    folder = Folder()
    for one in ticks:
        folder.fold(one)
    folder.close_before(at_ms=2**50)
    newest = {bar.start_ms: bar for _, bar in folder.take_closed()}
    return [newest[start] for start in sorted(newest)]


@st.composite
def days(draw: st.DrawFn) -> list[tuple[int, float, int]]:
    """(milliseconds after the open, price, cumulative volume), in order."""
    times = sorted(draw(st.lists(st.integers(0, 900_000), min_size=1, max_size=60, unique=True)))
    prices = [draw(st.integers(9_000, 11_000)) / 100 for _ in times]
    volume, found = 1_000, []
    for at, price in zip(times, prices, strict=True):
        volume += draw(st.integers(1, 500))
        found.append((at, price, volume))
    return found


class TestFold:
    @given(days())
    def test_bars_are_what_plain_arithmetic_says(self, day):
        bars = fold([tick(*one) for one in day])
        minutes: dict[int, list[float]] = {}
        for at, price, _ in day:
            minutes.setdefault(at // MINUTE_MS, []).append(price)
        assert [(bar.start_ms - NINE_FIFTEEN) // MINUTE_MS for bar in bars] == list(minutes)
        for bar, prices in zip(bars, minutes.values(), strict=True):
            assert (bar.open, bar.high, bar.low, bar.close) == (
                prices[0], max(prices), min(prices), prices[-1]
            )  # fmt: skip
        # No share is lost or counted twice, but for the first tick, whose own trade is unknown.
        assert sum(bar.volume for bar in bars) == day[-1][2] - day[0][2]

    @given(days())
    def test_repeated_ticks_change_nothing(self, day):
        once = fold([tick(*one) for one in day])
        twice = fold([tick(*one) for one in day for _ in range(2)])
        assert once == twice

    def test_a_late_packet_changes_no_bar(self):
        bars = fold([tick(0, 100.0, 10), tick(61_000, 101.0, 20), tick(5_000, 500.0, 15)])
        assert [(bar.high, bar.volume) for bar in bars] == [(100.0, 0), (101.0, 10)]

    def test_a_trade_of_a_minute_just_closed_reopens_its_bar(self):
        folder = Folder()
        folder.fold(tick(1_000, 100.0, 10))
        folder.close_before(at_ms=NINE_FIFTEEN + MINUTE_MS)
        folder.fold(tick(59_900, 102.0, 30))
        closed = folder.take_closed()
        assert closed[-1][1].high == 102.0
        assert closed[-1][1].volume == 20
        assert folder.forming() == {}

    def test_the_days_volume_begins_anew(self):
        day = 86_400_000
        bars = fold([tick(0, 100.0, 5_000), tick(day, 101.0, 40), tick(day + 1_000, 101.0, 90)])
        assert [bar.volume for bar in bars] == [0, 50]


class TestOfficialMinutes:
    def test_the_exchanges_bar_replaces_ours_and_late_trades_leave_it(self):
        official = (NINE_FIFTEEN, 99.0, 105.0, 98.0, 101.0, 70)
        told = msgspec.structs.replace(tick(61_000, 102.0, 90), minute=official)
        bars = fold([tick(1_000, 100.0, 10), told, tick(61_500, 102.5, 95)])
        assert bars[0] == Bar(*official)
        assert (bars[1].open, bars[1].close) == (102.0, 102.5)

    def test_a_bar_off_the_minute_is_no_bar(self):
        moved = (NINE_FIFTEEN + 7, 99.0, 105.0, 98.0, 101.0, 70)
        told = msgspec.structs.replace(tick(61_000, 102.0, 90), minute=moved)
        bars = fold([tick(1_000, 100.0, 10), told])
        assert [bar.high for bar in bars] == [100.0, 102.0]


class TestDerive:
    @pytest.mark.parametrize(
        ("minute", "interval", "start"),
        [
            ("09:15", "5m", "09:15"), ("09:19", "5m", "09:15"), ("09:20", "5m", "09:20"),
            ("09:29", "15m", "09:15"), ("10:14", "1h", "09:15"), ("10:15", "1h", "10:15"),
            ("15:29", "1h", "15:15"), ("09:15", "1d", "00:00"), ("09:00", "1h", "08:15"),
        ],
    )  # fmt: skip
    def test_hours_count_from_the_open(self, minute, interval, start):
        hour, number = map(int, minute.split(":"))
        at = datetime(2025, 12, 15, hour, number, tzinfo=IST)
        found = bucket_start(start=at, interval=interval)
        assert found.astimezone(IST).strftime("%H:%M") == start

    @given(days())
    def test_longer_bars_hold_what_their_minutes_hold(self, day):
        rows = [
            (datetime.fromtimestamp(bar.start_ms / 1000, UTC), bar.open, bar.high, bar.low,
             bar.close, bar.volume)
            for bar in fold([tick(*one) for one in day])
        ]  # fmt: skip
        longer = derive(bars=rows, interval="5m")
        assert sum(row[5] for row in longer) == sum(row[5] for row in rows)
        assert max(row[2] for row in longer) == max(row[2] for row in rows)
        assert (longer[0][1], longer[-1][4]) == (rows[0][1], rows[-1][4])
        assert [row[0] for row in longer] == sorted(
            {bucket_start(start=row[0], interval="5m") for row in rows}
        )


class TestRecordedSession:
    """One real session of four instruments. Beside its ticks Upstox states each last completed
    minute (I1); zero-volume minutes have none."""

    @pytest.mark.parametrize(
        "name", ["NSE_EQ_INE027H01010", "NSE_EQ_INE465A01025", "NSE_FO_51460", "NSE_FO_51461"]
    )
    def test_bars_equal_upstoxs_own(self, shared_data, name):
        records = read(shared_data, name)
        ours = {bar.start_ms: bar for bar in fold([as_tick(one) for one in records])}
        theirs = {bar.start_ms: bar for bar in (Bar(*minute(one)) for one in records)}
        # Differences: the minute under way when the recording ended, which no I1 tells.
        assert len(theirs) >= 350
        assert {start for start in theirs if ours[start] != theirs[start]} == set()
        assert len(set(ours) - set(theirs)) <= 6

    @pytest.mark.parametrize(
        "name", ["NSE_EQ_INE027H01010", "NSE_EQ_INE465A01025", "NSE_FO_51460", "NSE_FO_51461"]
    )
    def test_ticks_alone_stay_inside_upstoxs_bars(self, shared_data, name):
        """Without I1: the feed conflates, so a first, highest or lowest price may belong to a
        trade that was never told. Our bar then lies inside Upstox's, never outside, and the
        closes mostly agree."""
        records = read(shared_data, name)
        ticks = [msgspec.structs.replace(as_tick(one), minute=None) for one in records]
        ours = {bar.start_ms: bar for bar in fold(ticks)}
        theirs = {bar.start_ms: bar for bar in (Bar(*minute(one)) for one in records)}
        shared = sorted(set(ours) & set(theirs))
        assert len(shared) >= 350
        assert all(
            theirs[start].low <= ours[start].low <= ours[start].high <= theirs[start].high
            for start in shared
        )
        closes = sum(ours[start].close == theirs[start].close for start in shared)
        assert closes / len(shared) > 0.9


def read(shared_data, name: str) -> list[dict]:
    path = shared_data / "recorded" / f"{name}_data.json.gz"
    found: list[dict] = json.loads(gzip.decompress(path.read_bytes()))
    return found


def minute(record: dict) -> tuple[int, float, float, float, float, int]:
    bars = record["fullFeed"]["marketFF"]["marketOHLC"]["ohlc"]
    bar = next(one for one in bars if one["interval"] == "I1")
    return (
        int(bar["ts"]), bar["open"], bar["high"], bar["low"], bar["close"],
        int(bar.get("vol", 0)),
    )  # fmt: skip


def as_tick(record: dict) -> Tick:
    """A stored record as the feed would have told it."""
    full = record["fullFeed"]["marketFF"]
    stored = datetime.fromisoformat(record["_insertion_time"]).replace(tzinfo=IST)
    moment = int(stored.timestamp() * 1000)
    return Tick(
        instrument_key=record["instrumentKey"], exchange_ms=moment, received_ms=moment,
        source="stream", last_price=full["ltpc"]["ltp"],
        last_trade_ms=int(full["ltpc"]["ltt"]), volume=int(full.get("vtt", 0)) or None,
        minute=minute(record),
    )  # fmt: skip
