"""A recorded day as a source: the same records, in the same order, at the pace asked for."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Final

from marketdata.exchange import history
from marketdata.exchange.hours import SEGMENTS, Hours, Phases
from marketdata.exchange.listing import Listing
from marketdata.exchange.recordings import NoRecording, Recording
from marketdata.exchange.records import Bar, Record
from mockmarket.core.clock import IST

# Records in one frame; the real feed sends few keys a frame.
_FRAME_RECORDS: Final = 200
# Records taken at once: a fast replay that falls behind must leave its loop time to send, and a
# connection has room for so many frames.
_RECORDS_AT_ONCE: Final = 400


class ReplaySource:
    """Serves records when their time comes, `speed` times as fast as on the day.

    It begins at `started_ms`, else when the first of its instruments is subscribed to: what
    plays before anybody listens is lost. Times sent are moved so that the day begins then and
    runs at the pace of the replay: clients see a live market. `original_times` sends them as
    recorded. A key that is asked for before its first record has the first record's state.
    """

    def __init__(
        self,
        *,
        recording: Recording,
        started_ms: int | None = None,
        speed: float = 1.0,
        original_times: bool = False,
        names: Mapping[str, Listing] | None = None,
    ) -> None:
        overview = recording.overview()
        firsts = overview.firsts
        if not firsts:
            raise NoRecording("nothing was recorded")
        self._records = iter(recording)
        self._ahead = next(self._records, None)
        self._begun = started_ms is not None
        self._started_ms = started_ms or 0
        self._speed = speed
        self._original = original_times
        self._first_ms = min(entry.at_ms for entry in firsts.values())
        self._ahead_ms = overview.ahead_ms
        self._bars: dict[str, list[Bar]] = {}
        self._states = {key: entry.record for key, entry in firsts.items()}
        self._listings = {
            key: _listing(record, names or {}) for key, record in self._states.items()
        }

    @property
    def patient(self) -> bool:
        """A replay waits for slow readers: no record may be lost."""
        return True

    @property
    def listings(self) -> Mapping[str, Listing]:
        return self._listings

    @property
    def hours(self) -> Hours:
        return Hours()

    @property
    def recorded_on(self) -> date:
        """The day of the recording, in India."""
        return datetime.fromtimestamp(self._first_ms / 1000, UTC).astimezone(IST).date()

    @property
    def finished(self) -> bool:
        return self._ahead is None

    def due(
        self, *, now_ms: int, wanted: Collection[str], depth: int = 5
    ) -> list[Sequence[Record]]:
        self._stand(now_ms)
        self._begun = self._begun or bool(wanted)
        if not self._begun:
            return []
        until = self._first_ms + (now_ms - self._started_ms) * self._speed
        frames: list[Sequence[Record]] = []
        frame: dict[str, Record] = {}
        for _ in range(_RECORDS_AT_ONCE):
            entry = self._ahead
            if entry is None or entry.at_ms > until:
                break
            self._ahead = next(self._records, None)
            self._keep(entry.record)
            if entry.record.key not in wanted:
                continue
            # A key stands once in a frame: its next record opens a new one.
            if entry.record.key in frame or len(frame) >= _FRAME_RECORDS:
                frames.append(list(frame.values()))
                frame = {}
            frame[entry.record.key] = self._moved(entry.record)
        if frame:
            frames.append(list(frame.values()))
        return frames

    def _stand(self, now_ms: int) -> None:
        """Until it begins, the day's first instant is now."""
        if not self._begun:
            self._started_ms = now_ms

    def _keep(self, record: Record) -> None:
        """Remember the newest state; an absent book or price keeps the one before."""
        before = self._states[record.key]
        if record.bids is None:
            record = replace(record, bids=before.bids, asks=before.asks)
        if not record.last_price:
            record = replace(
                record, last_price=before.last_price, last_trade_ms=before.last_trade_ms
            )
        self._states[record.key] = record
        bars = self._bars.setdefault(record.key, [])
        if record.minute is not None and (not bars or record.minute.start_ms > bars[-1].start_ms):
            bars.append(record.minute)

    def records(self, *, keys: Collection[str], now_ms: int, depth: int = 5) -> list[Record]:
        self._stand(now_ms)
        return [self._moved(self._states[key]) for key in keys]

    def minute_bars(self, *, key: str, day: date, now_ms: int) -> list[Bar]:
        if day != datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST).date():
            return []
        bars = [self._moved_bar(bar) for bar in self._bars.get(key, [])]
        if self._speed == 1.0:
            return bars
        # A fast replay puts several recorded minutes into one of the clock.
        return history.by_minute(bars)

    def day_bars(self, *, key: str, days: Sequence[date], now_ms: int) -> list[Bar]:
        today = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST).date()
        bar = self._states[key].day
        return [self._moved_bar(bar)] if bar is not None and today in days else []

    def board(self, *, now_ms: int) -> None:
        """A recording has no chain of its own."""

    def phases(self, *, now_ms: int) -> Phases:
        word = "NORMAL_CLOSE" if self.finished else "NORMAL_OPEN"
        return Phases(dict.fromkeys(SEGMENTS, word), {}, {})

    def _moved(self, record: Record) -> Record:
        if self._original:
            return record
        return replace(
            record,
            last_trade_ms=self._move(record.last_trade_ms) if record.last_trade_ms else 0,
            day=self._moved_bar(record.day) if record.day else None,
            minute=self._moved_bar(record.minute) if record.minute else None,
        )

    def _moved_bar(self, bar: Bar) -> Bar:
        return bar if self._original else replace(bar, start_ms=self._move(bar.start_ms))

    def _move(self, at_ms: int) -> int:
        since = at_ms - self._ahead_ms - self._first_ms
        return self._started_ms + round(since / self._speed)


def _listing(record: Record, names: Mapping[str, Listing]) -> Listing:
    known = names.get(record.key)
    if known is not None:
        return known
    return Listing(
        key=record.key,
        symbol=record.key.split("|")[-1],
        name=record.key.split("|")[-1],
        sector="",
        reference=record.previous_close or record.last_price or 1.0,
        tick=0.05,
        lot=1,
        volume=float(record.volume),
    )
