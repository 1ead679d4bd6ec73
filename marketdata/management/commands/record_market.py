"""`manage.py record_market`: the day's frames into a file, for later replay."""

import signal
import threading
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from marketdata import broker, recording
from marketdata.models import Instrument
from marketdata.upstox.feed import Feed
from mockmarket.core import clock


class Command(BaseCommand):
    help = "Record the feed (compressed, one file a day, safe against crashes) until stopped."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--directory", help="default: VAR_DIR/recordings")
        parser.add_argument("--keys", help="instrument keys, comma separated; default: universe")
        parser.add_argument("--mode", default="full", choices=["ltpc", "full", "option_greeks"])
        parser.add_argument("--seconds", type=float, help="stop after this long")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(options["directory"] or settings.VAR_DIR / "recordings")
        keys = (options["keys"] or "").split(",") if options["keys"] else _universe()
        recorder = Recorder(directory=directory)
        stopped = threading.Event()
        feed = Feed(
            url=settings.UPSTOX_FEED_URL,
            token=broker.feed_token,
            on_frame=lambda frame: None,
            on_raw=recorder.record,
            on_state=lambda state, reason: self.stdout.write(f"Feed {state} {reason}".rstrip()),
        )
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stopped.set())
        feed.subscribe(keys, options["mode"])
        feed.start()
        left = options["seconds"]
        while not stopped.wait(1.0 if left is None else min(1.0, left)):
            recorder.flush()
            if left is not None:
                left -= 1.0
                if left <= 0:
                    break
        feed.stop()
        recorder.close()
        self.stdout.write(f"{recorder.frames} frames in {directory}")


class Recorder:
    """Frames from the feed's thread into the file of their day (in India)."""

    def __init__(self, *, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._writer: recording.Writer | None = None
        self._day: date | None = None
        self.frames = 0

    def record(self, data: bytes, received_ms: int) -> None:
        day = clock.from_ms(received_ms).astimezone(clock.IST).date()
        with self._lock:
            if self._writer is None or day != self._day:
                if self._writer is not None:
                    self._writer.close()
                self._writer = recording.Writer(directory=self._directory, day=day)
                self._day = day
            self._writer.write(data, received_ms=received_ms)
            self.frames += 1

    def flush(self) -> None:
        with self._lock:
            if self._writer is not None:
                self._writer.flush()

    def close(self) -> None:
        with self._lock:
            if self._writer is not None:
                self._writer.close()


def _universe() -> list[str]:
    return list(
        Instrument.objects.filter(in_universe=True, active=True).values_list("key", flat=True)
    )
