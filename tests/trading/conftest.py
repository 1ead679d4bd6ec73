"""The cast: Alice and Bob with ten lakh each, and ACME at 100 with a fresh book."""

from collections.abc import Iterator
from typing import Any

import pytest

from marketdata.models import Instrument
from mockmarket.core.models import User
from tests.trading.floor import START, Floor, share, student
from trading import verification
from trading.derivatives import proving


@pytest.fixture
def floor(db: None) -> Floor:
    return Floor()


@pytest.fixture
def alice(db: None) -> User:
    return student("alice", at=START)


@pytest.fixture
def bob(db: None) -> User:
    return student("bob", at=START)


@pytest.fixture
def acme(floor: Floor) -> Instrument:
    instrument = share("ACME")
    floor.tick(instrument, 100.0, previous_close=100.0)
    return instrument


@pytest.fixture
def books_are_proved(db: None) -> Iterator[None]:
    """Whatever a test did, its fills, settlements and balances can be derived again."""
    yield
    assert verification.check_ledger() == []
    assert [found for found in verification.verify_fills() if found] == []
    assert [found for found in proving.verify_changes() if found] == []


@pytest.fixture
def real_exchange(settings: Any) -> None:
    """An exchange that divides its prices by itself."""
    settings.MARKET_SOURCE = "replay"
