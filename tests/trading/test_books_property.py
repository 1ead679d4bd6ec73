"""Any sequence of orders keeps the books provable."""

import contextlib
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios.models import Position
from tests.trading.floor import Floor, portfolio, share
from trading import verification


@dataclass(frozen=True)
class Step:
    """One order and the tick after it."""

    side: str
    product: str
    quantity: int
    limit: int | None
    move: int


steps = st.lists(
    st.builds(
        Step,
        side=st.sampled_from(["BUY", "SELL"]),
        product=st.sampled_from(["CNC", "MIS"]),
        quantity=st.integers(1, 4_000),
        limit=st.one_of(st.none(), st.integers(-40, 40)),
        move=st.integers(-60, 60),
    ),
    min_size=1,
    max_size=12,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=steps)
def test_postings_balance_cash_is_not_negative_and_positions_equal_fills(
    floor: Floor, alice: User, acme: Instrument, bob: User, steps: list[Step]
) -> None:
    fno = Instrument.objects.filter(symbol="FNO").first() or share("FNO", cas_eligible=True)
    last = 100.0
    for number, step in enumerate(steps):
        instrument = (acme, fno)[number % 2]
        last = min(115.0, max(85.0, round(last + step.move * 0.05, 2)))
        book = [(round(last + 0.05 * n, 2), 900) for n in range(1, 6)]
        floor.tick(
            instrument,
            last,
            asks=book,
            bids=[(round(last - 0.05 * n, 2), 900) for n in range(1, 6)],
            traded=500,
            previous_close=100.0,
        )
        fields = {} if step.limit is None else {
            "order_type": "LIMIT", "price": round(last + step.limit * 0.05, 2)
        }  # fmt: skip
        with contextlib.suppress(DomainError):
            floor.place(alice, instrument, step.side, step.quantity, product=step.product, **fields)
        assert verification.check_ledger() == []
    for held in Position.objects.filter(portfolio=portfolio(alice)):
        assert held.product == "MIS" or held.quantity >= 0
    assert [found for found in verification.verify_fills() if found] == []
    assert portfolio(bob).cash == 1_000_000
