"""The clock is set while the product runs (T10): in each of its processes, as on one machine.

In Python's own clock (`tests/support/clock_ahead`): libfaketime 0.9.10 breaks its `time.sleep`.
"""

import time
from pathlib import Path

import pytest
import requests

from tests.faults.student import RELIANCE, Student
from tests.faults.test_market_days import CLOCK
from tests.support.product import Product, running
from tests.support.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1200)]
HOUR = 3600


def set_clock(file: Path, seconds: int) -> None:
    """So far ahead of the true time, in each process within a moment."""
    written = file.with_suffix(".new")
    written.write_text(str(seconds))
    written.replace(file)


def test_no_fill_is_lost_or_doubled_when_the_clock_jumps(tmp_path: Path) -> None:
    """Set back by five seconds, ahead by an hour, and back by that hour, while orders come."""
    file = tmp_path / "clock"
    set_clock(file, 0)
    moved = {"PYTHONPATH": str(CLOCK), "CLOCK_AHEAD_FILE": str(file), "TZ": "America/New_York"}
    limits = {"ORDERS_PER_SECOND": "1000", "ORDERS_PER_MINUTE": "10000"}
    with running("sqlite", MARKET_HOURS="always", **moved, **limits) as product:
        student = Student(product)
        eventually(lambda: traded(student), seconds=60, poll=0.5)
        for seconds in (-5, HOUR, 0):
            for _ in range(5):  # decided and booked while the clock is set
                assert student.order().status_code == 201
            set_clock(file, seconds)
            time.sleep(2)
            refused = student.client.get(f"{student.url}/api/v1/me/", timeout=60).status_code == 401
            # An hour ahead a token of ten minutes has ended; an hour back it is not yet good, and
            # neither is one that is younger than the five seconds.
            assert refused or seconds == -5
            if refused:
                student.sign_in()
            began = time.monotonic()
            eventually(lambda: traded(student), seconds=60, poll=0.5)
            back = time.monotonic() - began
            eventually(lambda: is_ready(product), seconds=30, poll=0.5)
            print(f"clock at {seconds:+} s: filled again after {back:.1f} s")  # noqa: T201
        eventually(lambda: waiting(student) == [], seconds=60, poll=0.5)
        [held] = student.get("positions/")["results"]
        assert held["instrument_key"] == RELIANCE
        assert held["quantity"] == len(student.acknowledged)
        assert "difference" not in product.manage("verify_fills").lower()
        student.prove(product)


def traded(student: Student) -> bool:
    """Whether an order of now fills, and soon."""
    answer = student.order()
    assert answer.status_code == 201, answer.text
    number = answer.json()["id"]
    until = time.monotonic() + 5 * PATIENCE
    while time.monotonic() < until:
        if student.get(f"orders/{number}/")["status"] == "FILLED":
            return True
        time.sleep(0.2)
    return False


def waiting(student: Student) -> list[str]:
    """Acknowledged orders that have not been filled."""
    return [
        number
        for number in student.acknowledged
        if student.get(f"orders/{number}/")["status"] != "FILLED"
    ]


def is_ready(product: Product) -> bool:
    return requests.get(f"{product.url}/readyz", timeout=10).status_code == 200
