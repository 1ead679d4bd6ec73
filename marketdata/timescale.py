"""Candles as a TimescaleDB hypertable, where the database has that extension.

The extension is the database administrator's to install (`CREATE EXTENSION timescaledb`). After
each `migrate` the candles' table becomes a hypertable in chunks of a month when it is not one
yet: a chart reads one or two chunks, and the indexes in use stay small. Elsewhere, on plain
PostgreSQL and SQLite, nothing happens.
"""

from typing import Any

import structlog
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

log = structlog.get_logger(__name__)

TABLE = "marketdata_candle"


def after_migrate(*, using: str, **_: Any) -> None:
    """The handler of Django's `post_migrate`."""
    use(connections[using])


def use(connection: BaseDatabaseWrapper) -> bool:
    """Make the candles a hypertable if that can be; True when it was done now."""
    if connection.vendor != "postgresql":
        return False
    with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
        if not _can(cursor):
            return False
        cursor.execute("SET LOCAL statement_timeout = 0")  # it may move a year of minutes
        free_of_primary_key(cursor)
        cursor.execute(
            f"SELECT create_hypertable('{TABLE}', 'start', migrate_data => true,"
            " chunk_time_interval => INTERVAL '30 days')"
        )
    log.info("candles are a hypertable now")
    return True


def _can(cursor: CursorWrapper) -> bool:
    """The extension is there, the table too, and it is a plain one."""
    cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'")
    if cursor.fetchone() is None:
        return False
    cursor.execute("SELECT to_regclass(%s)", [TABLE])
    if cursor.fetchone() == (None,):
        return False
    cursor.execute(
        "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = %s", [TABLE]
    )
    return cursor.fetchone() is None


def free_of_primary_key(cursor: CursorWrapper) -> None:
    """A hypertable's unique indexes must hold its time. Candles are found by instrument, interval
    and start, which is unique; `id` stays, filled by its sequence, as a plain index for deletes."""
    cursor.execute(f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {TABLE}_pkey")
    cursor.execute(f"CREATE INDEX IF NOT EXISTS {TABLE}_id ON {TABLE} (id)")
