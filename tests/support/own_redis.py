"""A fixture for directories whose tests count requests: keys of their own in Redis."""

import uuid
from collections.abc import Iterator

import pytest
from pytest_django.fixtures import Settings

from marketdata import selectors
from marketdata.mirror import mirror


@pytest.fixture(autouse=True)
def own_redis_keys(settings: Settings) -> Iterator[None]:
    """Throttle windows, tickets and boards in Redis outlive a test; each test gets a prefix."""
    settings.REDIS_PREFIX = f"test-{uuid.uuid4().hex}"
    settings.MARKET_HOURS = "always"
    mirror.cache_clear()
    selectors.forget()
    yield
    mirror.cache_clear()
    selectors.forget()
