"""The only reader of the system clock.

Interfaces (views, consumers, tasks, commands, the engine's loop) take one `now()` and pass it
inward as `at=`; nothing further in asks what time it is.
"""

import time
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

IST = ZoneInfo("Asia/Kolkata")


def now() -> datetime:
    """The current instant, aware, in UTC."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The current instant in epoch milliseconds, the unit of the feed."""
    return time.time_ns() // 1_000_000


def monotonic() -> float:
    """Seconds on a clock that never steps; for intervals and deadlines."""
    return time.monotonic()


def from_ms(milliseconds: int) -> datetime:
    """Epoch milliseconds as an aware UTC datetime."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def to_ms(instant: datetime) -> int:
    """An aware datetime as epoch milliseconds."""
    return round(instant.timestamp() * 1000)
