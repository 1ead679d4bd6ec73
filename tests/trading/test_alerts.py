"""An alert fires once for each crossing."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.alerts import Kind, Seen, Volumes, Watch, look


def seen(price: float, *, at_ms: int = 0, volume: float | None = None, **more: float) -> Seen:
    return Seen(
        at_ms=at_ms,
        last_price=price,
        previous_close=more.get("close", 100.0),
        high=more.get("high"),
        low=more.get("low"),
        volume=volume,
    )


def firings(watch: Watch, ticks: Sequence[Seen]) -> int:
    count = 0
    for tick in ticks:
        outcome = look(watch, tick, before=None)
        watch, count = outcome.watch, count + outcome.fired
    return count


def test_price_above_fires_at_the_crossing_and_again_after_coming_back() -> None:
    watch = Watch(1, Kind.PRICE_ABOVE, 105.0, armed=True)
    prices = [100, 104.9, 105, 106, 107, 104, 105.5]
    assert firings(watch, [seen(price) for price in prices]) == 2


def test_price_below_is_the_mirror() -> None:
    watch = Watch(1, Kind.PRICE_BELOW, 95.0, armed=True)
    assert firings(watch, [seen(price) for price in [100, 95, 94, 96, 95]]) == 2


def test_a_spent_alert_waits_for_the_price_to_come_back() -> None:
    watch = Watch(1, Kind.PRICE_ABOVE, 105.0, armed=False)
    assert firings(watch, [seen(106), seen(107)]) == 0
    assert firings(watch, [seen(106), seen(104), seen(106)]) == 1


@pytest.mark.parametrize("price", [103.0, 97.0])
def test_percent_moves_count_both_ways(price: float) -> None:
    watch = Watch(1, Kind.PERCENT_MOVE, 3.0, armed=True)
    assert firings(watch, [seen(100), seen(price)]) == 1


def test_an_unknown_close_says_nothing() -> None:
    watch = Watch(1, Kind.PERCENT_MOVE, 1.0, armed=True)
    tick = Seen(0, 200.0, None, None, None, None)
    assert look(watch, tick, before=None).watch == watch


def test_a_volume_spike_is_told_against_the_usual_minute() -> None:
    watch = Watch(1, Kind.VOLUME_SPIKE, 3.0, armed=True)
    volumes, volume = None, 0.0
    fired_at = []
    for second in range(0, 600, 5):
        # 100 a second for eight minutes, then 1,000.
        volume += 5 * (100 if second < 480 else 1_000)
        tick = seen(100, at_ms=second * 1000, volume=volume)
        outcome = look(watch, tick, before=volumes)
        watch = outcome.watch
        if outcome.fired:
            fired_at.append(second)
        volumes = volumes.following(tick) if volumes else Volumes.begin(tick)
    assert fired_at
    assert 480 <= fired_at[0] <= 510


def test_the_range_breaks_once_and_arms_again_inside() -> None:
    watch = Watch(1, Kind.RANGE_BREAKOUT, 0.0, armed=True)
    ticks = [
        seen(100, high=101, low=99),
        seen(101.5, high=101.5, low=99),
        seen(102, high=102, low=99),
        seen(100.5, high=102, low=99),
        seen(102.1, high=102.1, low=99),
    ]
    assert firings(watch, ticks) == 2


@given(st.lists(st.floats(min_value=50, max_value=150), max_size=60))
def test_firings_are_the_upward_crossings(prices: list[float]) -> None:
    watch = Watch(1, Kind.PRICE_ABOVE, 100.0, armed=True)
    beyond = [False, *(price >= 100 for price in prices)]
    crossings = sum(now and not before for before, now in pairwise(beyond))
    assert firings(watch, [seen(price) for price in prices]) == crossings
