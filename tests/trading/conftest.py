"""The cast: Alice and Bob with ten lakh each, and ACME at 100 with a fresh book."""

import pytest

from marketdata.models import Instrument
from mockmarket.core.models import User
from tests.trading.floor import START, Floor, share, student


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
