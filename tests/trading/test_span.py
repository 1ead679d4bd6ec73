"""The scenario margin against margins that a broker published, and against its own laws.

The published figures are for one lot of 75 NIFTY with the index at 23,114 (exposure 34,671.15 is
2 % of 75 x 23,114.1), a few days before expiry; premiums are those of the same table.
"""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.options import pricing
from trading import span
from trading.span import INDEX, SHARE, Leg

SPOT = 23_114.1
YEARS = 3 / 365
LOT = 75
RATE = 0.065


def option(kind: span.Kind, strike: float, premium: float, lots: int) -> Leg:
    found = pricing.implied_volatility(
        price=premium, spot=SPOT, strike=strike, years=YEARS, is_call=kind == "CE", rate=RATE
    )
    assert found.reason == 0
    return Leg(
        kind=kind,
        quantity=lots * LOT,
        price=premium,
        years=YEARS,
        strike=strike,
        volatility=float(found.volatility),
    )


SHORT_PUT = option("PE", 23_100, 123.70, -1)
LONG_PUT_WING = option("PE", 22_800, 37.95, 1)
SHORT_CALL = option("CE", 23_100, 154.70, -1)
LONG_CALL_WING = option("CE", 23_400, 43.80, 1)


@pytest.mark.parametrize(
    ("legs", "published_span", "published_exposure"),
    [
        ([SHORT_PUT], 158_127, 34_671.15),
        ([SHORT_CALL], 161_509.50, 34_671.15),
        ([SHORT_PUT, LONG_PUT_WING], 21_546.75, 34_671.15),
        ([SHORT_CALL, LONG_CALL_WING], 22_195.50, 34_671.15),
        ([SHORT_CALL, SHORT_PUT], 161_509.50, 69_342.30),
        ([SHORT_CALL, SHORT_PUT, LONG_CALL_WING, LONG_PUT_WING], 22_195.50, 69_342.30),
    ],
    ids=["put", "call", "put spread", "call spread", "straddle", "iron butterfly"],
)
def test_is_near_published_margins(legs, published_span, published_exposure):
    found = span.margin(legs, spot=SPOT, parameters=INDEX)
    assert float(found.span) == pytest.approx(published_span, rel=0.05)
    assert float(found.exposure) == pytest.approx(published_exposure, rel=0.0001)


def test_a_bought_option_needs_no_more_than_its_premium():
    found = span.margin([LONG_CALL_WING], spot=SPOT, parameters=INDEX)
    assert found.total == Decimal("0.00")


def test_a_future_needs_the_scan_range_and_exposure():
    future = Leg(kind="FUT", quantity=LOT, price=SPOT, years=YEARS)
    found = span.margin([future], spot=SPOT, parameters=INDEX)
    assert float(found.span) == pytest.approx(0.093 * SPOT * LOT, abs=0.01)
    assert float(found.exposure) == pytest.approx(0.02 * SPOT * LOT, abs=0.01)


def test_shares_need_more_than_indices():
    future = Leg(kind="FUT", quantity=100, price=1_000.0, years=YEARS)
    index = span.margin([future], spot=1_000.0, parameters=INDEX)
    share = span.margin([future], spot=1_000.0, parameters=SHARE)
    assert share.total > index.total


def test_wild_days_widen_the_scan_range():
    future = Leg(kind="FUT", quantity=100, price=1_000.0, years=YEARS)
    calm = span.margin([future], spot=1_000.0, parameters=INDEX, daily_volatility=0.005)
    wild = span.margin([future], spot=1_000.0, parameters=INDEX, daily_volatility=0.03)
    assert wild.span > calm.span


def test_a_calendar_spread_pays_its_charge_and_little_else():
    near = Leg(kind="FUT", quantity=-LOT, price=SPOT, years=YEARS)
    far = Leg(kind="FUT", quantity=LOT, price=SPOT, years=YEARS + 28 / 365)
    found = span.margin([near, far], spot=SPOT, parameters=INDEX)
    assert float(found.span) == pytest.approx(0.0175 * SPOT * LOT, abs=0.01)


def test_no_legs_need_nothing_and_no_spot_is_refused():
    assert span.margin([], spot=SPOT, parameters=INDEX).total == 0
    with pytest.raises(ValueError, match="spot"):
        span.margin([SHORT_CALL], spot=0, parameters=INDEX)


legs = st.lists(
    st.builds(
        Leg,
        kind=st.sampled_from(["FUT", "CE", "PE"]),
        quantity=st.integers(-500, 500).filter(bool),
        price=st.floats(1, 500),
        years=st.just(YEARS),
        strike=st.floats(22_000, 24_000),
        volatility=st.floats(0.05, 0.5),
    ),
    min_size=1,
    max_size=4,
)


@given(legs)
def test_margin_is_never_negative_and_grows_in_proportion(some):
    once = span.margin(some, spot=SPOT, parameters=INDEX)
    doubled = [
        Leg(leg.kind, 2 * leg.quantity, leg.price, leg.years, leg.strike, leg.volatility)
        for leg in some
    ]
    twice = span.margin(doubled, spot=SPOT, parameters=INDEX)
    assert once.span >= 0
    assert float(twice.total) == pytest.approx(2 * float(once.total), abs=0.05)


@given(legs, legs)
def test_holding_two_books_together_never_needs_more_than_apart(one, other):
    together = span.margin(one + other, spot=SPOT, parameters=INDEX)
    apart = (
        span.margin(one, spot=SPOT, parameters=INDEX).total
        + span.margin(other, spot=SPOT, parameters=INDEX).total
    )
    assert together.total <= apart + Decimal("0.05")
