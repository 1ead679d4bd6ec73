"""Option chain snapshots in partitions, on PostgreSQL.

Session snapshots are 300 MB a day and go after a few days, closing ones are 6 MB a day and stay for
ever. In one table the deletes would leave holes that closing rows fill, until every page of a year
is read for one month. So each session day is a table of its own, dropped whole, and the closes are
another. SQLite has one table and deletes rows. See docs/decisions/0080-option-chain-partitions.md.
"""

from datetime import date, timedelta
from typing import Final

from django.db import connection, transaction

SESSIONS: Final = "marketdata_optionchain_session"
# Made so many days ahead; what no partition is made for (the upkeep stood still so long) goes into
# the default one and is deleted row by row.
DAYS_AHEAD: Final = 7


def keep(*, today: date, oldest: date) -> int:
    """Make the partitions of the coming days and drop those before `oldest`; the rows dropped."""
    if connection.vendor != "postgresql":
        return 0
    dropped = 0
    with transaction.atomic(), connection.cursor() as cursor:
        for ahead in range(1, DAYS_AHEAD + 1):
            cursor.execute(create_day(today + timedelta(days=ahead)))
        cursor.execute(
            "SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid"
            " WHERE inhparent = %s::regclass ORDER BY 1",
            [SESSIONS],
        )
        for (name,) in cursor.fetchall():
            day = day_of(name)
            if day is None or day >= oldest:
                continue
            cursor.execute(f"SELECT count(*) FROM {name}")  # noqa: S608 (a name of ours)
            dropped += cursor.fetchone()[0]
            cursor.execute(f"DROP TABLE {name}")
    return dropped


def create_day(day: date) -> str:
    """The statement that makes the partition of one session day, where it is not there yet."""
    return (
        f"CREATE TABLE IF NOT EXISTS {SESSIONS}_{day:%Y%m%d} PARTITION OF {SESSIONS}"
        f" FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
    )


def day_of(name: str) -> date | None:
    """The session day of a partition by its name; None for the default one."""
    text = name.removeprefix(f"{SESSIONS}_")
    return date(int(text[:4]), int(text[4:6]), int(text[6:])) if text.isdigit() else None
