"""Movers, breadth, sectors and sentiment, against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata import movers, sentiment
from marketdata.board import COLUMN, FIELDS


def table(*rows: dict[str, float]) -> np.ndarray:
    values = np.full((len(rows), len(FIELDS)), np.nan)
    for position, row in enumerate(rows):
        for name, value in row.items():
            values[position, COLUMN[name]] = value
    return values


def share(last: float, close: float = 100.0, volume: float = 10.0, **more: float) -> dict:
    return {"last_price": last, "previous_close": close, "volume": volume, **more}


numbers = st.floats(1, 1000) | st.just(float("nan"))
tables = st.lists(
    st.fixed_dictionaries({"last_price": numbers, "previous_close": numbers, "volume": numbers}),
    max_size=12,
)


class TestTop:
    def test_gainers_rose_and_losers_fell_strongest_first(self):
        values = table(share(105), share(95), share(100), share(110), {"last_price": 5.0})
        assert movers.top(values=values, kind="gainers", limit=9) == [3, 0]
        assert movers.top(values=values, kind="losers", limit=9) == [1]

    def test_value_weighs_price_and_volume_does_not(self):
        values = table(share(10, volume=100), share(1000, volume=5))
        assert movers.top(values=values, kind="active_value", limit=1) == [1]
        assert movers.top(values=values, kind="active_volume", limit=1) == [0]

    @given(tables, st.sampled_from(movers.KINDS), st.integers(0, 5))
    def test_unknowns_never_rank_and_order_never_rises(self, rows, kind, limit):
        values = table(*rows)
        found = movers.top(values=values, kind=kind, limit=limit)
        assert len(found) <= limit
        changes = [movers.change_percent(values)[position] for position in found]
        assert not any(change != change for change in changes) or kind.startswith("active")
        if kind == "gainers":
            assert changes == sorted(changes, reverse=True)


class TestBreadth:
    def test_it_counts_what_moved(self):
        values = table(
            share(105, high=105.0, low=99.0),
            share(95, high=101.0, low=95.0),
            share(100, high=100.0, low=100.0),
            {"last_price": 1.0},
        )
        found = movers.breadth(values=values)
        assert (found.advances, found.declines, found.unchanged) == (1, 1, 1)
        assert (found.at_high, found.at_low, found.ratio) == (1, 1, 1.0)

    def test_an_empty_board_has_none(self):
        assert movers.breadth(values=table()).total == 0


class TestSectors:
    def test_the_change_is_weighted_by_turnover(self):
        values = table(share(110, volume=30), share(90, volume=10), share(102))
        found = movers.sectors(values=values, names=["Banks", "Banks", "IT"])
        assert [sector.name for sector in found] == ["Banks", "IT"]
        expected = (10 * 110 * 30 - 10 * 90 * 10) / (110 * 30 + 90 * 10)
        assert found[0].change_percent == pytest.approx(expected)
        assert found[0].members == (0, 1)

    def test_a_share_without_a_sector_or_price_is_left_out(self):
        values = table(share(110), {"last_price": 5.0})
        assert movers.sectors(values=values, names=["", "IT"]) == []


class TestSentiment:
    def test_the_worked_example(self):
        found = sentiment.measure(
            advances=150, declines=50, highs=4, lows=1, shares=200, vix=12.0,
            vix_change_percent=-5.0,
        )  # fmt: skip
        # 50 + 50 (0.4×0.5 + 0.2×0.3 + 0.2×0.3 + 0.2×0.5)
        assert found.score == 71.0
        assert found.label == "greed"
        assert found.missing == ()

    def test_what_is_unknown_counts_nothing_and_is_named(self):
        found = sentiment.measure(
            advances=0, declines=0, highs=0, lows=0, shares=0, vix=None, vix_change_percent=None
        )
        assert (found.score, found.label) == (50.0, "neutral")
        assert set(found.missing) == set(sentiment.WEIGHTS)

    @given(
        st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 300), st.integers(0, 300),
        st.integers(0, 3000), st.floats(0, 100) | st.none(), st.floats(-100, 500) | st.none(),
    )  # fmt: skip
    def test_the_score_stays_between_0_and_100(self, up, down, highs, lows, shares, vix, change):
        found = sentiment.measure(
            advances=up, declines=down, highs=highs, lows=lows, shares=shares, vix=vix,
            vix_change_percent=change,
        )  # fmt: skip
        assert 0 <= found.score <= 100
