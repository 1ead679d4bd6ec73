"""When an alert goes off: once for each crossing. Pure.

An armed alert fires when its condition becomes true and is then spent until the condition has
been false again. An alert made while its condition is true already waits for it to become false
first, so that it never reports what its owner could see.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

SPIKE_WINDOW_MS: Final = 60_000
# The mean volume of a minute is believed after this many minutes.
SPIKE_MINUTES_MIN: Final = 5
# A broken range arms again once the price is this far back inside, in percent of the price.
RANGE_BACK_PERCENT: Final = 0.25


class Kind(StrEnum):
    """What an alert watches. `threshold` is rupees, percent, or times the mean."""

    PRICE_ABOVE = "PRICE_ABOVE"
    PRICE_BELOW = "PRICE_BELOW"
    PERCENT_MOVE = "PERCENT_MOVE"
    VOLUME_SPIKE = "VOLUME_SPIKE"
    RANGE_BREAKOUT = "RANGE_BREAKOUT"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of an instrument at a tick. None is unknown; times in epoch milliseconds."""

    at_ms: int
    last_price: float
    previous_close: float | None
    high: float | None
    low: float | None
    volume: float | None


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volume as observed: at the first sight, and at the start of the running minute."""

    first_ms: int
    first: float
    minute_ms: int
    minute: float

    @classmethod
    def begin(cls, seen: Seen) -> "Volumes | None":
        """Counting begins with the first known volume."""
        if seen.volume is None:
            return None
        return cls(seen.at_ms, seen.volume, seen.at_ms, seen.volume)

    def following(self, seen: Seen) -> "Volumes":
        """After a tick; a volume that stepped back begins a new day."""
        if seen.volume is None:
            return self
        if seen.volume < self.minute:
            return Volumes(seen.at_ms, seen.volume, seen.at_ms, seen.volume)
        if seen.at_ms - self.minute_ms >= SPIKE_WINDOW_MS:
            return replace(self, minute_ms=seen.at_ms, minute=seen.volume)
        return self

    def ratio(self, seen: Seen) -> float | None:
        """Volume of the running minute in times the mean minute before it."""
        minutes = (self.minute_ms - self.first_ms) / SPIKE_WINDOW_MS
        if seen.volume is None or minutes < SPIKE_MINUTES_MIN:
            return None
        mean = (self.minute - self.first) / minutes
        return (seen.volume - self.minute) / mean if mean > 0 else None


@dataclass(frozen=True, slots=True)
class Watch:
    """One alert as the engine holds it. `high` and `low` bound the range that may break."""

    alert_id: int
    kind: Kind
    threshold: float
    armed: bool
    high: float | None = None
    low: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The alert after a tick; `fired` and `rearmed` say what has to be kept."""

    watch: Watch
    fired: bool = False
    rearmed: bool = False


def look(watch: Watch, seen: Seen, *, before: Volumes | None) -> Outcome:
    """What a tick does to an alert. `before` are the volumes as they stood before the tick."""
    if watch.kind is Kind.RANGE_BREAKOUT:
        return _look_at_range(watch, seen)
    true = _holds(watch, seen, before)
    if true is None:
        return Outcome(watch)
    if true and watch.armed:
        return Outcome(replace(watch, armed=False), fired=True)
    if not true and not watch.armed:
        return Outcome(replace(watch, armed=True), rearmed=True)
    return Outcome(watch)


def _holds(watch: Watch, seen: Seen, before: Volumes | None) -> bool | None:
    """Whether the condition is true; None when it cannot be told."""
    match watch.kind:
        case Kind.PRICE_ABOVE:
            return seen.last_price >= watch.threshold
        case Kind.PRICE_BELOW:
            return seen.last_price <= watch.threshold
        case Kind.PERCENT_MOVE:
            if not seen.previous_close:
                return None
            move = abs(seen.last_price / seen.previous_close - 1) * 100
            return move >= watch.threshold
        case _:
            ratio = before.ratio(seen) if before else None
            return None if ratio is None else ratio >= watch.threshold


def _look_at_range(watch: Watch, seen: Seen) -> Outcome:
    """The day's range as it stood before the tick: the feed's own high already holds the tick."""
    if watch.high is None or watch.low is None:
        if seen.high is None or seen.low is None:
            return Outcome(watch)
        return Outcome(replace(watch, high=seen.high, low=seen.low))
    if seen.high is not None and seen.high < watch.high and seen.low is not None:
        # A new day has begun: its range replaces yesterday's.
        return Outcome(replace(watch, high=seen.high, low=seen.low))
    outside = seen.last_price > watch.high or seen.last_price < watch.low
    wider = replace(
        watch, high=max(watch.high, seen.last_price), low=min(watch.low, seen.last_price)
    )
    if outside:
        return Outcome(replace(wider, armed=False), fired=watch.armed)
    back = RANGE_BACK_PERCENT / 100 * seen.last_price
    inside = watch.low + back <= seen.last_price <= watch.high - back
    if inside and not watch.armed:
        return Outcome(replace(watch, armed=True), rearmed=True)
    return Outcome(watch)
