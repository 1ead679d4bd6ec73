"""The simulated surface: total variance grows with time, short expiries move most."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata import universe
from marketdata.exchange import listing, volatility
from marketdata.exchange.listing import VIX_USUAL
from marketdata.options import pricing

DAYS = np.array([0.01, 0.25, 1, 2, 2.5, 4, 7, 14, 30, 45, 75, 120, 365])
YEARS = DAYS / 365
moods = st.floats(4.0, 90.0)
usuals = st.floats(0.08, 0.6)
strikes = st.floats(-0.5, 0.5)


def surface(usual: float, vix: float, away: float, years: np.ndarray = YEARS) -> np.ndarray:
    return volatility.surface(
        spot=np.full(len(years), 100.0),
        strike=np.full(len(years), 100.0 * np.exp(away)),
        years=years,
        usual=np.full(len(years), usual),
        vix=vix,
    )


@given(usuals, moods, strikes)
def test_no_calendar_spread_pays_for_nothing(usual: float, vix: float, away: float) -> None:
    """Total variance at a strike never falls with time, so no later option is the cheaper one."""
    found = surface(usual, vix, away)
    assert np.isfinite(found).all()
    assert (found > 0).all()
    variance = found**2 * YEARS
    assert (np.diff(variance) >= -1e-12).all()
    price = pricing.greeks(
        spot=np.full(len(YEARS), 100.0),
        strike=np.full(len(YEARS), 100.0 * np.exp(away)),
        years=YEARS,
        volatility=found,
        is_call=np.full(len(YEARS), True),
        rate=0.065,
    ).price
    assert (np.diff(price) >= -1e-9).all()


@given(usuals, moods)
def test_the_index_speaks_of_thirty_days(usual: float, vix: float) -> None:
    (over_index,) = surface(usual, vix, 0.0, np.array([30 / 365]))
    assert over_index == pytest.approx(usual * (0.5 + 0.5 * vix / VIX_USUAL))


@given(usuals, moods)
def test_short_expiries_feel_the_mood_most(usual: float, vix: float) -> None:
    """Excited markets slope down with time, quiet ones up; each ends nearer its usual."""
    away_from_usual = np.abs(surface(usual, vix, 0.0) - usual)
    assert (np.diff(away_from_usual) <= 1e-12).all()
    far = surface(usual, vix, 0.0, np.array([200.0]))
    assert far == pytest.approx(usual, rel=0.05)


def test_a_usual_index_leaves_the_terms_flat() -> None:
    assert surface(0.2, VIX_USUAL, 0.0) == pytest.approx(0.2)


def test_an_index_of_twice_the_usual_fades_with_time() -> None:
    """The figures of the documentation: the NIFTY with its index at 27 instead of 13.5."""
    week, month, quarter = surface(0.125, 27.0, 0.0, np.array([7, 30, 91]) / 365)
    assert [round(100 * one, 1) for one in (week, month, quarter)] == [19.7, 18.8, 16.9]


def test_a_shares_usual_volatility_is_its_own_and_that_of_an_index_known() -> None:
    rows = {row.symbol: row for row in listing.from_universe(universe.load())}
    assert volatility.usual(rows["NIFTY"]) == 0.125
    assert volatility.usual(rows["NIFTYNXT50"]) == 0.14
    shares = {volatility.usual(rows[name]) for name in ("INFY", "TCS", "RELIANCE")}
    assert len(shares) == 3
    assert all(0.2 <= one <= 0.3 for one in shares)
    moved = dataclasses.replace(rows["INFY"], reference=1.0)
    assert volatility.usual(moved) == volatility.usual(rows["INFY"])
