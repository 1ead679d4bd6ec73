"""The sanity gate: what cannot be true is refused by name."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.gate import Gate, reference_for
from marketdata.quotes import Greeks, Reference, Reject, Tick, check

NOW = 1_770_000_000_000
ACME = "NSE_EQ|INE000A01010"
REFERENCE = Reference(previous_close=100.0, band=0.2, grid=0.05)


def tick(**fields: object) -> Tick:
    base = {"instrument_key": ACME, "exchange_ms": NOW, "received_ms": NOW, "source": "stream"}
    return Tick(**{**base, "last_price": 101.0, **fields})


@pytest.mark.parametrize(
    ("fields", "reject"),
    [
        ({}, None),
        ({"last_price": 120.0}, None),
        ({"last_price": 120.05}, Reject.OFF_BAND),
        ({"last_price": 80.0}, None),
        ({"last_price": 79.95}, Reject.OFF_BAND),
        ({"last_price": math.nan}, Reject.NOT_A_NUMBER),
        ({"last_price": math.inf}, Reject.NOT_A_NUMBER),
        ({"last_price": 0.0}, Reject.NON_POSITIVE),
        ({"last_price": -5.0}, Reject.NON_POSITIVE),
        ({"last_price": 1e300}, Reject.TOO_LARGE),
        ({"last_price": 101.02}, Reject.OFF_GRID),
        ({"average_price": 101.02}, None),
        ({"previous_close": 300.0}, Reject.OFF_BAND),
        ({"volume": -1}, Reject.NEGATIVE_QUANTITY),
        ({"volume": 10**14}, Reject.TOO_LARGE),
        ({"open_interest": math.nan}, Reject.NOT_A_NUMBER),
        ({"high": 99.0, "low": 101.0}, Reject.INCONSISTENT_RANGE),
        ({"bids": ((101.0, 1),), "asks": ((100.0, 1),)}, Reject.CROSSED_BOOK),
        ({"bids": ((100.0, 1), (101.0, 1))}, Reject.UNSORTED_BOOK),
        ({"asks": ((101.0, 1), (100.0, 1))}, Reject.UNSORTED_BOOK),
        ({"bids": ((100.0, -1),)}, Reject.NEGATIVE_QUANTITY),
        ({"bids": ((0.0, 1),)}, Reject.NON_POSITIVE),
        ({"bids": (), "asks": ()}, None),
        ({"last_price": None}, Reject.EMPTY),
        ({"exchange_ms": NOW + 5_001}, Reject.FROM_THE_FUTURE),
        ({"exchange_ms": NOW + 4_999}, None),
        ({"last_trade_ms": NOW + 6_000}, Reject.FROM_THE_FUTURE),
        ({"exchange_ms": 0}, Reject.BEFORE_TIME),
        ({"last_trade_ms": 5}, Reject.BEFORE_TIME),
        ({"instrument_key": "ACME"}, Reject.MALFORMED_KEY),
        ({"minute": (NOW - 60_000, 100.0, 101.0, 99.0, 100.5, 5)}, None),
        ({"minute": (NOW - 59_001, 100.0, 101.0, 99.0, 100.5, 5)}, None),  # a replay's
        ({"minute": (NOW + 1, 100.0, 101.0, 99.0, 100.5, 5)}, Reject.FROM_THE_FUTURE),
        ({"minute": (0, 100.0, 101.0, 99.0, 100.5, 5)}, Reject.BEFORE_TIME),
        ({"minute": (NOW - 60_000, 100.0, 100.0, 99.0, 100.5, 5)}, Reject.INCONSISTENT_RANGE),
        ({"minute": (NOW - 60_000, 100.0, 500.0, 99.0, 100.5, 5)}, Reject.OFF_BAND),
        ({"minute": (NOW - 60_000, 100.0, 101.0, 99.0, 100.5, -5)}, Reject.NEGATIVE_QUANTITY),
        ({"greeks": Greeks(math.nan, 0.0, 0.0, 0.0, 0.0)}, Reject.NOT_A_NUMBER),
    ],
)
def test_a_tick_is_judged_by_what_is_known(fields, reject):
    assert check(tick(**fields), reference=REFERENCE, now_ms=NOW) == reject


any_float = st.floats(allow_nan=True, allow_infinity=True)


@given(
    st.builds(
        tick,
        last_price=any_float,
        open=any_float | st.none(),
        high=any_float | st.none(),
        low=any_float | st.none(),
        previous_close=any_float | st.none(),
        average_price=any_float | st.none(),
        volume=st.integers(-(2**63), 2**63 - 1) | st.none(),
        bids=st.lists(st.tuples(any_float, st.integers(-(2**63), 2**63 - 1)), max_size=5).map(
            tuple
        ),
        exchange_ms=st.integers(-(2**63), 2**63 - 1),
    )
)
def test_whatever_passes_lies_inside_the_band(damaged):
    if check(damaged, reference=REFERENCE, now_ms=NOW) is None:
        found = [damaged.last_price, damaged.open, damaged.high, damaged.low]
        found += [price for price, _ in damaged.bids]
        assert all(79.99 <= price <= 120.01 for price in found if price is not None)
        assert damaged.exchange_ms <= NOW + 5_000


class TestGate:
    def test_it_counts_rejects_by_reason_and_learns_the_first_close(self):
        gate = Gate()
        gate.learn(
            {ACME: reference_for(segment="NSE_EQ", symbol="ACME", grid=0.05, previous_close=None)}
        )
        passed = gate.sift(
            [tick(previous_close=100.0), tick(last_price=150.0), tick(last_price=math.nan)],
            now_ms=NOW,
        )
        assert [one.last_price for one in passed] == [101.0]
        assert gate.rejects == {"off_band": 1, "not_a_number": 1}

    def test_a_new_session_forgets_the_close_so_that_a_split_passes(self):
        gate = Gate()
        gate.learn(
            {ACME: reference_for(segment="NSE_EQ", symbol="ACME", grid=0.05, previous_close=100.0)}
        )
        halved = tick(last_price=50.0, previous_close=50.0)
        assert gate.sift([halved], now_ms=NOW) == []
        gate.begin_session()
        assert gate.sift([halved], now_ms=NOW) == [halved]

    def test_options_have_no_band(self):
        gate = Gate()
        gate.learn(
            {
                ACME: reference_for(
                    segment="NSE_FO", symbol="NIFTY 24000 CE", grid=0.05, previous_close=10.0
                )
            }
        )
        assert gate.sift([tick(last_price=90.0)], now_ms=NOW)
