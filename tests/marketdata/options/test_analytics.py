"""Chain analytics on a chain small enough to work out by hand."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from marketdata.options import analytics, blast, pricing, trial
from marketdata.options.analytics import BuildUp
from marketdata.options.chain import Chain, Side, recompute

STRIKES = np.array([90.0, 100.0, 110.0])


def side(**columns: list[float]) -> Side:
    empty = Side.empty(("a", "b", "c"))
    return replace(empty, **{name: np.array(values) for name, values in columns.items()})


@pytest.fixture
def chain() -> Chain:
    """Strikes 90, 100, 110 around a spot of 101 with hand-picked interest."""
    return Chain(
        underlying_key="NSE_INDEX|TEST",
        expiry_date=date(2026, 11, 24),
        strikes=STRIKES,
        spot=101.0,
        years=7 / 365,
        lot_size=1,
        rate=0.0,
        calls=side(
            last_price=[12.0, 4.0, 1.0],
            previous_close=[10.0, 5.0, 1.0],
            open_interest=[100.0, 200.0, 300.0],
            previous_open_interest=[50.0, 150.0, 300.0],
            volume=[10.0, 20.0, 30.0],
        ),
        puts=side(
            last_price=[0.5, 3.0, 10.0],
            previous_close=[1.0, 2.0, 8.0],
            open_interest=[400.0, 100.0, 100.0],
            previous_open_interest=[500.0, 200.0, 90.0],
            volume=[60.0, 30.0, 30.0],
        ),
    )


def test_put_call_ratios(chain):
    assert analytics.put_call_ratio_interest(chain) == 600 / 600
    assert analytics.put_call_ratio_volume(chain) == 120 / 60


def test_ratio_of_an_empty_chain_is_none(chain):
    empty = replace(chain, calls=Side.empty(("a", "b", "c")), puts=Side.empty(("a", "b", "c")))
    assert analytics.put_call_ratio_interest(empty) is None
    assert analytics.max_pain(empty) is None


def test_max_pain_is_the_cheapest_settlement_for_writers(chain):
    # Settle at 90: puts 10*100 + 20*100 = 3,000. At 100: calls 10*100, puts 10*100 = 2,000.
    # At 110: calls 20*100 + 10*200 = 4,000.
    assert analytics.writers_payout(chain).tolist() == [3_000.0, 2_000.0, 4_000.0]
    assert analytics.max_pain(chain) == 100.0


def test_build_up_quadrants(chain):
    assert analytics.build_up(chain.calls) == [
        BuildUp.LONG_BUILD_UP,
        BuildUp.SHORT_BUILD_UP,
        BuildUp.NEUTRAL,
    ]
    assert analytics.build_up(chain.puts) == [
        BuildUp.LONG_UNWINDING,
        BuildUp.SHORT_COVERING,
        BuildUp.LONG_BUILD_UP,
    ]


def test_in_the_money_interest(chain):
    found = analytics.in_the_money(chain)
    assert found.call_share == 300 / 600
    assert found.put_share == 100 / 600
    assert found.call_value == 11 * 100 + 1 * 200
    assert found.put_value == 9 * 100


def test_gamma_exposure_by_hand(chain):
    with_gamma = replace(
        chain,
        calls=replace(chain.calls, gamma=np.array([0.01, 0.05, 0.01])),
        puts=replace(chain.puts, gamma=np.array([0.01, 0.05, 0.01])),
    )
    scale = 101.0 * 101.0 * 0.01
    expected = [(1 - 4) * scale, (10 - 5) * scale, (3 - 1) * scale]
    assert analytics.gamma_exposure(with_gamma) == pytest.approx(expected)


def priced_chain(volatility: float = 0.2) -> Chain:
    """A chain whose prices are Black-Scholes at one volatility."""
    strikes = np.arange(80.0, 121.0, 2.0)
    size = strikes.size
    keys = tuple(map(str, range(size)))

    def made(*, is_call: bool, interest: np.ndarray) -> Side:
        price = pricing.price(
            spot=100.0, strike=strikes, years=30 / 365, volatility=volatility, is_call=is_call
        )
        return replace(Side.empty(keys), last_price=price, open_interest=interest)

    return Chain(
        underlying_key="X",
        expiry_date=date(2026, 12, 24),
        strikes=strikes,
        spot=100.0,
        years=30 / 365,
        lot_size=1,
        rate=0.0,
        calls=made(is_call=True, interest=np.where(strikes > 100, 1_000.0, 10.0)),
        puts=made(is_call=False, interest=np.where(strikes < 100, 1_000.0, 10.0)),
    )


def test_recompute_returns_the_volatility_that_priced_the_chain():
    chain = recompute(priced_chain(0.2))
    known = np.isfinite(chain.calls.volatility)
    assert known.sum() >= 15
    assert chain.calls.volatility[known] == pytest.approx(0.2, abs=1e-6)
    assert analytics.volatility_at_the_money(chain) == pytest.approx(0.2, abs=1e-6)


def test_a_row_without_a_price_keeps_its_volatility():
    chain = recompute(priced_chain(0.2))
    middle = chain.at_the_money
    holed = chain.calls.last_price.copy()
    holed[middle] = np.nan
    again = recompute(replace(chain, calls=replace(chain.calls, last_price=holed)))
    assert again.calls.volatility[middle] == pytest.approx(0.2, abs=1e-6)
    assert again.refused["not_finite"] == 1


def test_flat_volatility_has_no_skew():
    found = analytics.skew(recompute(priced_chain(0.2)))
    assert found.risk_reversal == pytest.approx(0.0, abs=1e-6)


def test_skew_by_hand(chain):
    """25 delta lies half-way between the strikes of 30 and 20."""
    deltas = np.array([0.45, 0.30, 0.20])
    sides = {
        "calls": replace(chain.calls, delta=deltas, volatility=np.array([0.20, 0.18, 0.16])),
        "puts": replace(chain.puts, delta=-deltas[::-1], volatility=np.array([0.24, 0.22, 0.21])),
    }
    found = analytics.skew(replace(chain, **sides))
    assert found.call_25_delta == pytest.approx(0.17)  # half-way from 0.30 to 0.20
    assert found.put_25_delta == pytest.approx(0.23)
    assert found.risk_reversal == pytest.approx(-0.06)


def test_expected_move():
    chain = recompute(priced_chain(0.2))
    found = analytics.expected_move(chain)
    assert found.one_deviation == pytest.approx(100 * 0.2 * (30 / 365) ** 0.5, rel=1e-5)
    # The mean absolute move of a normal variable is √(2/π) of its deviation.
    assert found.straddle == pytest.approx(found.one_deviation * (2 / np.pi) ** 0.5, rel=1e-3)


def test_gamma_flips_between_put_and_call_interest():
    chain = recompute(priced_chain(0.2))
    assert analytics.gamma_flip(chain) == pytest.approx(100.0, abs=1.5)


def test_rank_and_percentile():
    assert analytics.volatility_rank([0.1, 0.3], 0.2) == pytest.approx(50.0)
    assert analytics.volatility_rank([0.1, 0.3], 0.4) == 100.0
    assert analytics.volatility_rank([0.2], 0.2) is None
    assert analytics.volatility_percentile([0.1, 0.15, 0.2, 0.3], 0.2) == 50.0
    assert analytics.volatility_percentile([], 0.2) is None


def test_volume_spikes_and_breakouts():
    spikes = analytics.volume_spikes(np.array([30.0, 29.0, 5.0]), np.array([10.0, 10.0, 0.0]))
    assert spikes.tolist() == [True, False, False]
    assert analytics.breakout(101, range_low=95, range_high=100) == "above"
    assert analytics.breakout(94, range_low=95, range_high=100) == "below"
    assert analytics.breakout(99, range_low=95, range_high=100) is None


def test_short_gamma_raises_the_blast_figure_and_long_gamma_lowers_it():
    chain = recompute(priced_chain(0.2))
    interest = np.full(chain.strikes.size, 1_000.0)
    nothing = np.full(chain.strikes.size, 1.0)

    def figure(calls: np.ndarray, puts: np.ndarray) -> float:
        found = blast.forecast(
            replace(
                chain,
                calls=replace(chain.calls, open_interest=calls),
                puts=replace(chain.puts, open_interest=puts),
            )
        )
        assert found is not None
        return found.probability

    assert figure(nothing, interest) > blast.BASE_RATE_MODEL > figure(interest, nothing)


def test_blast_needs_interest():
    chain = recompute(priced_chain(0.2))
    none = np.zeros(chain.strikes.size)
    bare = replace(
        chain,
        calls=replace(chain.calls, open_interest=none),
        puts=replace(chain.puts, open_interest=none),
    )
    assert blast.forecast(bare) is None


def test_the_record_tells_skill_from_its_base_rate():
    skilled = [(0.6, True)] * 6 + [(0.6, False)] * 4 + [(0.1, False)] * 9 + [(0.1, True)]
    found = blast.record(skilled, cut=0.5)
    assert (found.alerts, found.hit_rate, found.base_rate) == (10, 0.6, 0.35)
    assert found.useful
    blind = [(0.6, True), (0.6, False)] * 5 + [(0.1, True), (0.1, False)] * 5
    assert not blast.record(blind, cut=0.5).useful
    assert blast.record([]).base_rate is None


@pytest.mark.parametrize("deviations", [0.9, 1.0, 1.5, 2.0])
def test_the_chance_to_leave_a_corridor_is_that_of_a_random_walk(deviations):
    """Reflection against brute force: 20,000 walks of 2,000 steps, barrier moved by the known
    correction for discrete steps (0.5826 of a step)."""
    generator = np.random.default_rng(7)
    steps = 2_000
    beyond = 0
    barrier = deviations - 0.5826 / np.sqrt(steps)
    for _ in range(20):
        walks = generator.normal(0, 1 / np.sqrt(steps), (1_000, steps)).cumsum(axis=1)
        beyond += int((np.abs(walks).max(axis=1) > barrier).sum())
    assert blast._leaves_corridor(deviations) == pytest.approx(beyond / 20_000, abs=0.012)


def test_the_corridor_of_no_width_is_left_and_a_wide_one_never():
    assert blast._leaves_corridor(0.05) == pytest.approx(1.0, abs=1e-12)
    assert blast._leaves_corridor(1 - 1e-9) == pytest.approx(blast._leaves_corridor(1.0), abs=1e-8)
    assert blast._leaves_corridor(8.0) < 1e-12
    # Hand: 2 P(|Z| > 1.5) - 2 P(|Z| > 4.5) = 2 x 0.133614 - 2 x 0.0000068
    assert pytest.approx(0.267215, abs=1e-6) == blast.BASE_RATE_MODEL


def test_the_trial_that_the_page_shows_was_long_enough_to_mean_something():
    found = trial.stored()
    assert found["days"] >= 60
    assert found["record"].forecasts > 3_000
    assert found["record"].alerts > 30
