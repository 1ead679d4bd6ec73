"""Stored in UTC, shown in India's time, whatever zone the machine keeps (T25)."""

import csv
import io
from datetime import datetime

import pytest
from django.test import Client

from mockmarket.core.models import User
from tests.support.api import client_of
from tests.support.zones import ZONES, server_zone
from tests.trading.floor import Floor, share
from trading.models import Fill

__all__ = ["server_zone"]


def fill_at(alice: User, text: str) -> Fill:
    """A share bought at an instant of India's clock."""
    floor = Floor(now=datetime.fromisoformat(text))
    instrument = share(f"T{floor.now_ms % 1000}")
    floor.now = datetime.fromisoformat(text)
    floor.wait(-0.1)
    floor.tick(instrument, 100.0, previous_close=100.0)
    return floor.buy(alice, instrument, 1).fills.get()


@pytest.mark.parametrize("server_zone", ZONES, indirect=True)
def test_the_last_millisecond_and_midnight_are_the_same_everywhere(
    server_zone: str, alice: User
) -> None:
    late = fill_at(alice, "2026-11-23T15:29:59.999+05:30")
    night = fill_at(alice, "2026-11-24T00:00:00+05:30")
    programs, browser = client_of(alice), Client()
    browser.force_login(alice)
    for fill, day, shown, utc in (
        (late, "2026-11-23", "15:29:59", "2026-11-23T09:59:59.999"),
        (night, "2026-11-24", "00:00:00", "2026-11-23T18:30:00"),
    ):
        said = programs.get(f"/api/v1/trades/{fill.pk}/").json()["filled_at"]
        assert said.startswith(utc)
        assert said.endswith("Z")
        page = browser.get(f"/orders/{fill.order_id}/").content.decode()
        assert shown in page
        note = programs.get(f"/api/v1/contract-notes/{day}/csv/").content.decode()
        rows = [row for row in csv.reader(io.StringIO(note)) if fill.order.instrument.symbol in row]
        assert [row[0] for row in rows if shown in row[0]], rows
    days = programs.get("/api/v1/contract-notes/").json()["results"]
    assert [row["session_date"] for row in days] == ["2026-11-24", "2026-11-23"]
