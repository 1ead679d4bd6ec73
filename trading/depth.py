"""Market depth as the pages draw it: five levels a side, with bars to scale."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEVELS = 5


@dataclass(frozen=True, slots=True)
class Level:
    """A price and what stands at it; `share` is the bar's length in percent."""

    price: float | None
    quantity: int | None
    share: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """Both sides, best first, always five rows so that nothing moves when a level empties."""

    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    bid_total: int
    ask_total: int


def ladder(sides: Mapping[str, Sequence[Sequence[Any]]]) -> Ladder:
    """From `bids` and `asks` as (price, quantity), best first."""
    return Ladder(
        bids=_levels(sides["bids"]),
        asks=_levels(sides["asks"]),
        bid_total=sum(int(level[1]) for level in sides["bids"][:LEVELS]),
        ask_total=sum(int(level[1]) for level in sides["asks"][:LEVELS]),
    )


def _levels(levels: Sequence[Sequence[Any]]) -> tuple[Level, ...]:
    most = max((int(level[1]) for level in levels[:LEVELS]), default=0) or 1
    found = [
        Level(float(price), int(quantity), round(100 * int(quantity) / most))
        for price, quantity in levels[:LEVELS]
    ]
    return tuple(found + [Level(None, None, 0)] * (LEVELS - len(found)))
