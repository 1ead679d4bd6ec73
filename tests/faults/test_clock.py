"""The machine's clock is wrong (T10), by libfaketime. The clock that never steps goes on, as it
does on a real machine.

Not a whole product: under libfaketime 0.9.10 Python's `time.sleep` fails with EINVAL.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from django.conf import settings

from tests.support import services
from tests.support.product import ROOT
from tests.support.zones import ZONES

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1200)]

HOUR = 3600


class Clock:
    """A clock that is set by writing a file; `environment` makes a process read it."""

    def __init__(self, file: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            pytest.skip("libfaketime is missing: apt-get install libfaketime")
        self._file = file
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: float) -> None:
        """So far ahead of the true time."""
        written = self._file.with_suffix(".new")
        written.write_text(f"{seconds:+.3f}\n")
        written.replace(self._file)


@pytest.fixture
def machine(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


# --- Sessions ---------------------------------------------------------------------------
# By hand, in India's time: leap days, the turn of the year, a holiday, an evening session, a
# Saturday in two parts, and the days on which clocks change in London and New York.
PHASES = {
    "2028-02-29T10:00": "CONTINUOUS", "2028-02-29T23:59": "CLOSED", "2024-02-29T09:05": "PRE_OPEN",
    "2026-12-31T15:28": "CONTINUOUS", "2026-12-31T15:40": "POST_CLOSE",
    "2027-01-01T00:00": "CLOSED", "2027-01-01T09:16": "CONTINUOUS",
    "2026-11-24T11:00": "CLOSED", "2026-11-08T18:30": "CONTINUOUS", "2026-11-08T11:00": "CLOSED",
    "2024-03-02T09:30": "CONTINUOUS", "2024-03-02T10:30": "CLOSED",
    "2024-03-02T12:00": "CONTINUOUS", "2026-03-09T09:10": "PRE_OPEN",
    "2026-03-30T10:00": "CONTINUOUS", "2026-10-26T15:20": "CONTINUOUS",
}  # fmt: skip
ASK = """
import sys
from datetime import datetime
from marketdata import calendar_table, sessions
from mockmarket.core import clock
calendar = sessions.Calendar.of(calendar_table.day_rules())
for line in sys.stdin:
    for at in (clock.now(), datetime.now().replace(tzinfo=clock.IST)):
        print(sessions.phase(market="NSE_EQ", at=at, calendar=calendar), flush=True)
"""


@pytest.mark.parametrize("zone", ZONES)
def test_sessions_go_by_the_instant_whatever_the_machines_zone(machine: Clock, zone: str) -> None:
    """With the control: by the machine's own time of day, which is right in India alone."""
    told: dict[str, str] = {}
    naive: dict[str, str] = {}
    with subprocess.Popen(
        [sys.executable, "-c", ASK], cwd=ROOT, text=True, env={
            **os.environ, **machine.environment, "TZ": zone,
        },
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=services.end_with_parent,
    ) as child:  # fmt: skip
        assert child.stdin
        assert child.stdout
        for ist in PHASES:
            machine.set(datetime.fromisoformat(f"{ist}+05:30").timestamp() - time.time())
            print(file=child.stdin, flush=True)
            told[ist], naive[ist] = child.stdout.readline(), child.stdout.readline()
        child.stdin.close()
    assert {ist: phase.strip() for ist, phase in told.items()} == PHASES
    assert (naive == told) is (zone == "Asia/Kolkata")


# --- doctor -----------------------------------------------------------------------------
@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    name = f"mm_clock_{os.getpid()}"
    yield services.create_database(postgres_url, name)
    services.drop_database(postgres_url, name)


def test_doctor_says_that_the_clock_is_wrong(machine: Clock, database: str) -> None:
    """The machine of the product is wrong; those of PostgreSQL and Redis are right."""

    def differences() -> dict[str, str]:
        found = subprocess.run(
            [sys.executable, "manage.py", "doctor", "--json"], cwd=ROOT, text=True,
            capture_output=True, check=False, timeout=300, env={
                **os.environ, **machine.environment, "DATABASE_URL": database,
                "REDIS_URL": settings.REDIS_URL,
            },
        )  # fmt: skip
        findings = json.loads(found.stdout)["findings"]

        return {
            row["check"]: row["level"] for row in findings if "its clock differs" in row["message"]
        }

    assert differences() == {"database": "ok", "redis": "ok"}
    for seconds in (HOUR, -5):
        machine.set(seconds)
        assert differences() == {"database": "fail", "redis": "fail"}
