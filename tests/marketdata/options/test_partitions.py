"""Chain snapshots in partitions: a session day goes as a whole, the closes stay."""

from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from marketdata.models import OptionChainSnapshot
from marketdata.options import partitions, selectors, services
from mockmarket.core.clock import IST
from tests.support.options import EXPIRY, SPOT, listed_nifty

pytestmark = pytest.mark.django_db

MONDAY = date(2026, 11, 16)
Kind = OptionChainSnapshot.Kind


def snapshot(nifty, day, kind=Kind.SESSION, **fields):
    return OptionChainSnapshot.objects.create(
        underlying=nifty,
        expiry_date=EXPIRY,
        kind=kind,
        session_date=day,
        spot=SPOT,
        columns=b"",
        **{"taken_at": datetime(day.year, day.month, day.day, 10, tzinfo=IST), **fields},
    )


def prune(at):
    """As a transaction of its own would: what this test wrote is checked, no trigger waits."""
    connection.check_constraints()
    return services.prune_session_snapshots(at=at)


def tables():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT tableoid::regclass::text, count(*)"
            " FROM marketdata_optionchainsnapshot GROUP BY 1"
        )
        return {
            name.removeprefix("marketdata_optionchain_"): rows for name, rows in cursor.fetchall()
        }


def test_old_session_days_go_and_closes_stay(settings):
    """On either database, through the service that the daily upkeep calls."""
    settings.OPTION_SESSION_DAYS = 2
    nifty = listed_nifty()
    partitions.keep(today=MONDAY - timedelta(days=1), oldest=MONDAY)
    for number in range(5):
        snapshot(nifty, MONDAY + timedelta(days=number))
        snapshot(nifty, MONDAY + timedelta(days=number), Kind.CLOSE)
    at = datetime(2026, 11, 20, 18, tzinfo=IST)
    assert prune(at) == 2
    assert prune(at) == 0
    left = OptionChainSnapshot.objects.order_by("session_date").values_list("kind", "session_date")
    assert [str(day) for kind, day in left if kind == Kind.SESSION] == [
        "2026-11-18", "2026-11-19", "2026-11-20"
    ]  # fmt: skip
    assert sum(kind == Kind.CLOSE for kind, _ in left) == 5


def test_a_snapshot_and_a_close_exist_once():
    nifty = listed_nifty()
    for kind in Kind:
        first = snapshot(nifty, MONDAY, kind)
        with pytest.raises(IntegrityError), transaction.atomic():
            snapshot(nifty, MONDAY, kind)
        later = first.taken_at + timedelta(minutes=2)
        if kind == Kind.SESSION:
            snapshot(nifty, MONDAY, kind, taken_at=later)
        else:
            with pytest.raises(IntegrityError), transaction.atomic():
                snapshot(nifty, MONDAY, kind, taken_at=later)
    assert len({row.pk for row in OptionChainSnapshot.objects.all()}) == 3


@pytest.mark.postgres
def test_each_session_day_is_a_table_and_the_upkeep_makes_the_coming_ones(settings):
    nifty = listed_nifty()
    snapshot(nifty, MONDAY)  # before the first upkeep
    prune(datetime(2026, 11, 16, 18, tzinfo=IST))
    for number in (1, 2):
        snapshot(nifty, MONDAY + timedelta(days=number))
    snapshot(nifty, MONDAY, Kind.CLOSE)
    assert tables() == {
        "session_default": 1, "session_20261117": 1, "session_20261118": 1, "close": 1
    }  # fmt: skip
    at = datetime(2026, 11, 18, 18, tzinfo=IST) + timedelta(days=settings.OPTION_SESSION_DAYS)
    assert prune(at) == 2
    assert tables() == {"session_20261118": 1, "close": 1}


@pytest.mark.postgres
def test_a_close_is_copied_from_its_session_with_a_key_of_its_own():
    nifty = listed_nifty()
    first = snapshot(nifty, MONDAY)
    at = datetime(2026, 11, 16, 15, 42, tzinfo=IST)
    assert (services.record_closes(at=at), services.record_closes(at=at)) == (1, 0)
    close = OptionChainSnapshot.objects.get(kind=Kind.CLOSE)
    assert close.pk != first.pk
    close.delete()
    assert OptionChainSnapshot.objects.get() == first
    assert selectors.volatility_history(underlying=nifty, at=at) == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_the_migration_carries_rows_there_and_back():
    from django.db.migrations.executor import MigrationExecutor

    nifty = listed_nifty()
    kept = {snapshot(nifty, MONDAY, kind).pk for kind in Kind}

    def migrate(name):
        MigrationExecutor(connection).migrate([("marketdata", name)])

    try:
        migrate("0006_news_source_kind")
        assert set(OptionChainSnapshot.objects.values_list("pk", flat=True)) == kept
        with pytest.raises(IntegrityError), transaction.atomic():
            snapshot(nifty, MONDAY, Kind.CLOSE)
    finally:
        migrate("0007_option_chain_partitions")
    assert set(OptionChainSnapshot.objects.values_list("pk", flat=True)) == kept
    assert tables() == {"session_20261116": 1, "close": 1}
    assert snapshot(nifty, MONDAY + timedelta(days=1)).pk not in kept
