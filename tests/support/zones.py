"""The time zone of the machine, which must not matter."""

import os
import time

import pytest

ZONES = ("UTC", "Asia/Kolkata", "Europe/London", "America/New_York")


@pytest.fixture
def server_zone(request):
    """The process's own time zone, as a server somewhere else has it."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()
