"""Prices, Greeks and implied volatility against a well-kept library and their own laws."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.options import pricing
from marketdata.options.pricing import NoVolatility

SPOT = 24_000.0
STRIKES = (12_000, 18_000, 22_000, 23_900, 24_000, 24_100, 26_000, 32_000, 48_000)
YEARS = (10 / 60 / 24 / 365, 1 / 365, 7 / 365, 0.25, 1.0, 3.0)
VOLATILITIES = (0.03, 0.1, 0.2, 0.6, 1.5)
GRID = list(itertools.product(STRIKES, YEARS, VOLATILITIES, (True, False), (0.0, 0.065)))
YIELD = 0.01


@pytest.fixture(scope="module")
def columns():
    strike, years, volatility, is_call, rate = (np.array(c) for c in zip(*GRID, strict=True))
    return {
        "spot": SPOT,
        "strike": strike,
        "years": years,
        "is_call": is_call,
        "rate": rate,
        "dividend_yield": YIELD,
    }, volatility


def reference(name: str) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vollib.black_scholes_merton import black_scholes_merton
        from vollib.black_scholes_merton.greeks import analytical

    function = black_scholes_merton if name == "price" else getattr(analytical, name)
    return np.array(
        [
            function("c" if is_call else "p", SPOT, strike, years, rate, volatility, YIELD)
            for strike, years, volatility, is_call, rate in GRID
        ]
    )


@pytest.mark.parametrize("name", ["price", "delta", "gamma", "theta", "vega", "rho"])
def test_agrees_with_the_library(columns, name):
    inputs, volatility = columns
    ours = getattr(pricing.greeks(volatility=volatility, **inputs), name)
    theirs = reference(name)
    assert np.abs(ours - theirs).max() < 1e-8


def test_implied_volatility_finds_the_volatility_that_made_the_price(columns):
    inputs, volatility = columns
    price = reference("price")
    found = pricing.implied_volatility(price=price, **inputs)
    solved = found.reason == NoVolatility.NONE
    # In-the-money prices carry their volatility below the rounding error of the intrinsic value:
    # with 1e-6 allowed there, everything far enough from it must meet 1e-8.
    error = np.abs(found.volatility - volatility)[solved]
    assert error.max() < 1e-6
    sharp = pricing.greeks(volatility=volatility, **inputs).vega[solved] > 1e-2
    assert error[sharp].max() < 1e-8
    assert solved.mean() > 0.6
    assert set(found.reason[~solved].tolist()) <= {
        NoVolatility.NOT_FINITE,
        NoVolatility.BELOW_INTRINSIC,
        NoVolatility.TOO_FLAT,
    }


def test_a_good_guess_changes_nothing_but_the_cost(columns):
    inputs, volatility = columns
    price = reference("price")
    cold = pricing.implied_volatility(price=price, **inputs)
    warm = pricing.implied_volatility(price=price, guess=volatility * 1.02, **inputs)
    assert (cold.reason == warm.reason).all()
    solved = cold.reason == NoVolatility.NONE
    difference = np.abs(cold.volatility - warm.volatility)
    assert difference[solved].max() < 1e-6
    sharp = solved & (pricing.greeks(volatility=volatility, **inputs).vega > 1e-2)
    assert difference[sharp].max() < 1e-9


@given(
    spot=st.floats(10, 100_000),
    moneyness=st.floats(0.7, 1.4),
    years=st.floats(0.002, 2),
    volatility=st.floats(0.02, 2),
    rate=st.floats(0, 0.1),
)
def test_put_call_parity(spot, moneyness, years, volatility, rate):
    inputs = {"spot": spot, "strike": spot * moneyness, "years": years, "volatility": volatility}
    call = pricing.price(is_call=True, rate=rate, **inputs)
    put = pricing.price(is_call=False, rate=rate, **inputs)
    forward_value = spot - spot * moneyness * np.exp(-rate * years)
    assert call - put == pytest.approx(forward_value, abs=1e-9 * spot)


@pytest.mark.parametrize(
    ("name", "bumped", "step", "scale"),
    [
        ("delta", "spot", 0.5, 1.0),
        ("vega", "volatility", 1e-5, 100.0),
        ("rho", "rate", 1e-6, 100.0),
        ("theta", "years", -1e-6, 365.0),
    ],
)
def test_greeks_are_slopes_of_the_price(name, bumped, step, scale):
    inputs = {
        "spot": SPOT,
        "strike": np.array([22_000.0, 24_000.0, 26_000.0]),
        "years": 0.1,
        "volatility": 0.15,
        "is_call": np.array([True, False, True]),
        "rate": 0.065,
    }
    up, down = dict(inputs), dict(inputs)
    up[bumped], down[bumped] = inputs[bumped] + step, inputs[bumped] - step
    slope = (pricing.price(**up) - pricing.price(**down)) / (2 * step)
    # Theta is the fall of time: years shrink as days pass, which the negative step does.
    sign = -1.0 if name == "theta" else 1.0
    assert getattr(pricing.greeks(**inputs), name) == pytest.approx(
        sign * slope / scale, rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize(
    ("price", "years", "strike", "is_call", "reason"),
    [
        (0.0, 0.1, 24_000, True, NoVolatility.NOT_FINITE),
        (-5.0, 0.1, 24_000, True, NoVolatility.NOT_FINITE),
        (np.nan, 0.1, 24_000, True, NoVolatility.NOT_FINITE),
        (100.0, 0.0, 24_000, True, NoVolatility.EXPIRED),
        (100.0, -0.1, 24_000, True, NoVolatility.EXPIRED),
        (1_999.0, 0.1, 22_000, True, NoVolatility.BELOW_INTRINSIC),
        (24_001.0, 0.1, 22_000, True, NoVolatility.ABOVE_BOUND),
        (22_001.0, 0.1, 22_000, False, NoVolatility.ABOVE_BOUND),
    ],
)
def test_says_why_there_is_no_volatility(price, years, strike, is_call, reason):
    found = pricing.implied_volatility(
        price=price, spot=SPOT, strike=strike, years=years, is_call=is_call
    )
    assert found.reason == reason
    assert np.isnan(found.volatility)


def test_an_expired_contract_is_worth_its_intrinsic():
    values = pricing.greeks(
        spot=SPOT,
        strike=np.array([23_000.0, 25_000.0]),
        years=0.0,
        volatility=0.2,
        is_call=np.array([True, True]),
    )
    assert values.price.tolist() == [1_000.0, 0.0]
    assert values.delta.tolist() == [1.0, 0.0]
    assert values.gamma.tolist() == values.theta.tolist() == values.vega.tolist() == [0.0, 0.0]


def test_refuses_a_spot_that_is_not_positive():
    with pytest.raises(ValueError, match="positive"):
        pricing.price(spot=0, strike=100, years=1, volatility=0.2, is_call=True)
