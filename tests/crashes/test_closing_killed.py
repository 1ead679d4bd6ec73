"""kill -9 of the job that takes a session's closing prices: each is there once, whole."""

import os
import signal
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from marketdata import closing
from marketdata.models import Candle, ClosingPrice, LastPrice
from mockmarket.core.clock import IST
from mockmarket.core.models import JobRun
from tests.crashes.test_engine_killed import database_environment
from tests.support.api import share
from tests.support.product import ROOT

FRIDAY = date(2026, 11, 20)
MONDAY = datetime(2026, 11, 23, 8, tzinfo=IST)
# Monday's run takes Friday from the last prices of the database: Upstox quotes today.
COMMAND = """
from datetime import date, datetime
from marketdata import closing
closing.take(market="NSE_EQ", day=date(2026, 11, 20), at=datetime.fromisoformat({at!r}))
"""


def take(at: datetime) -> bool:
    """The job here and now."""
    return closing.take(market="NSE_EQ", day=FRIDAY, at=at)


def killed_at(failpoint: str, at: datetime) -> subprocess.CompletedProcess[str]:
    """The job in a process of its own, which dies at `failpoint`."""
    command = COMMAND.format(at=at.isoformat())
    return subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", command],
        env={
            **os.environ, **database_environment(), "FAILPOINT": failpoint, "MARKET_HOURS": "nse",
        },
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("point", "kept"), [("closing.claimed", 0), ("closing.stored", 0), ("closing.committed", 5)]
)
def test_a_killed_snapshot_is_taken_over_and_each_price_is_there_once(
    point: str, kept: int, settings: Any
) -> None:
    settings.MARKET_HOURS = "nse"
    traded = datetime(2026, 11, 20, 15, 29, tzinfo=IST).astimezone(UTC)
    for number in range(5):
        LastPrice.objects.create(
            instrument=share(f"CLOSE{number}"), last_price=100 + number, traded_at=traded,
            stored_at=traded, source="stream",
        )  # fmt: skip
    killed = killed_at(point, MONDAY)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert ClosingPrice.objects.count() == Candle.objects.count() == kept  # all of it or nothing
    assert not take(MONDAY + timedelta(minutes=1))  # the claim stands, or it is done
    assert take(MONDAY + timedelta(minutes=6)) is (kept == 0)
    for _ in range(2):
        rows = ClosingPrice.objects.order_by("close").values_list("close", "session_date")
        assert list(rows) == [(100 + number, FRIDAY) for number in range(5)]
        assert Candle.objects.count() == 5
        assert JobRun.objects.get(job="closing:NSE_EQ").state == JobRun.State.DONE
        assert not take(MONDAY + timedelta(minutes=20))
