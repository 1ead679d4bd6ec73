"""Candles without a primary key, as a hypertable has them, work like any others.

The extension itself is not on the machines that run these tests: `use` must then do nothing. What
was seen of it by hand stands in docs/operations/timeline-of-a-day.md.
"""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from marketdata import storage, timescale, upkeep
from marketdata.candles import Bar
from marketdata.models import Candle, Instrument
from mockmarket.core import clock

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)


@pytest.mark.django_db
def test_without_the_extension_nothing_changes():
    assert timescale.use(connection) is False


@pytest.mark.postgres
@pytest.mark.django_db
def test_minutes_are_upserted_read_and_pruned_without_a_primary_key(settings):
    with connection.cursor() as cursor:
        timescale.free_of_primary_key(cursor)
        timescale.free_of_primary_key(cursor)  # a second migrate
    share = Instrument.objects.create(
        key="NSE_EQ|X", symbol="X", name="X", exchange="NSE", segment="NSE_EQ",
        instrument_type="EQ",
    )  # fmt: skip
    start_ms = clock.to_ms(AT)
    for close in (101.0, 102.0):
        bar = Bar(start_ms, 100.0, 103.0, 99.0, close, 10)
        assert storage.store_minutes(bars=[(share.key, bar)]) == 1
    (row,) = Candle.objects.filter(instrument=share)
    assert (float(row.close), row.pk is not None) == (102.0, True)
    later = AT + timedelta(days=settings.MINUTE_CANDLE_DAYS + 1)
    upkeep.prune(at=later)
    assert not Candle.objects.filter(instrument=share).exists()
