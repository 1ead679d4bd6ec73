"""What a run of closes says: known cases, and how luck is told from skill."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios import metrics


def _returns(*rows: list[float]) -> np.ndarray:
    return np.array(rows, np.float64)


class TestDailyReturns:
    def test_take_cash_flows_out(self) -> None:
        equity = _returns([100.0, 210.0, 231.0])
        flows = _returns([100.0, 0.0])
        assert metrics.daily_returns(equity=equity, flows=flows)[0] == pytest.approx([0.05, 0.1])

    def test_before_joining_are_unknown(self) -> None:
        equity = _returns([np.nan, 100.0, 110.0])
        found = metrics.daily_returns(equity=equity, flows=np.zeros((1, 2)))
        assert np.isnan(found[0, 0])
        assert found[0, 1] == pytest.approx(0.1)


class TestTimeWeightedReturn:
    def test_compounds(self) -> None:
        assert metrics.time_weighted_return(_returns([0.1, -0.1]))[0] == pytest.approx(-1.0)


class TestSharpe:
    def test_is_mean_over_deviation_a_year(self) -> None:
        days = [0.01, -0.01, 0.02, 0.0, 0.01]
        wanted = np.mean(days) / np.std(days, ddof=1) * np.sqrt(250)
        assert metrics.sharpe(_returns(days))[0] == pytest.approx(wanted)

    def test_of_few_days_or_of_no_movement_is_unknown(self) -> None:
        assert np.isnan(metrics.sharpe(_returns([0.1, 0.2]))[0])
        assert np.isnan(metrics.sharpe(_returns([0.0] * 10))[0])


class TestDrawdown:
    def test_is_the_deepest_fall_from_a_peak(self) -> None:
        # 1.0, 1.1, 0.88, 0.968: from 1.1 down to 0.88.
        assert metrics.drawdown_percent(_returns([0.1, -0.2, 0.1]))[0] == pytest.approx(20.0)

    def test_counts_a_fall_from_the_start(self) -> None:
        assert metrics.drawdown_percent(_returns([-0.05]))[0] == pytest.approx(5.0)

    @given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=20))
    def test_lies_between_nothing_and_everything(self, days: list[float]) -> None:
        assert 0 <= metrics.drawdown_percent(_returns(days))[0] < 100


class TestConsistency:
    def test_counts_the_sessions_with_a_gain(self) -> None:
        assert metrics.consistency(_returns([0.1, 0.2, -0.1, 0.1, 0.0]))[0] == pytest.approx(60.0)


class TestRankInterval:
    def test_is_narrow_for_skill_and_wide_for_luck(self) -> None:
        random = np.random.default_rng(3)
        luck = random.normal(0, 0.01, (19, 40))
        skill = random.normal(0.01, 0.001, (1, 40))
        low, high = metrics.rank_interval(np.vstack([luck, skill]), seed=1)
        assert (low[19], high[19]) == (1, 1)
        assert np.mean(high[:19] - low[:19]) > 8

    def test_gives_equals_the_same(self) -> None:
        row = [0.01, -0.02, 0.03, 0.0, 0.01]
        low, high = metrics.rank_interval(_returns(row, row, row), seed=1)
        assert low.tolist() == high.tolist() == [1, 1, 1]

    def test_says_nothing_of_a_few_days(self) -> None:
        low, high = metrics.rank_interval(_returns([0.1, 0.2]), seed=1)
        assert low.tolist() == high.tolist() == [0]

    def test_is_the_same_whenever_it_is_asked(self) -> None:
        returns = np.random.default_rng(5).normal(0, 0.01, (10, 20))
        first, second = (metrics.rank_interval(returns, seed=9) for _ in range(2))
        assert first[0].tolist() == second[0].tolist()
