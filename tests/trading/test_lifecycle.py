"""Every pair of status and event."""

import itertools

import pytest

from trading import lifecycle
from trading.lifecycle import ENDED, LIVE, TABLE, Event, IllegalTransition, Status


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, Event)))
def test_every_pair_is_in_the_table_or_refused(status: Status, event: Event) -> None:
    if (status, event) in TABLE:
        assert lifecycle.advance(status, event) is TABLE[status, event]
    else:
        with pytest.raises(IllegalTransition):
            lifecycle.advance(status, event)


def test_ended_orders_take_no_event() -> None:
    assert not [pair for pair in TABLE if pair[0] in ENDED]


@pytest.mark.parametrize("status", sorted(LIVE))
def test_every_live_order_can_be_cancelled_and_expires(status: Status) -> None:
    assert lifecycle.advance(status, Event.CANCEL) is Status.CANCELLED
    assert lifecycle.advance(status, Event.EXPIRE) is Status.EXPIRED


def test_what_has_filled_is_never_rejected() -> None:
    assert (Status.PARTIALLY_FILLED, Event.REJECT) not in TABLE
