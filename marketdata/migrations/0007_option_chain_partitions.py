"""Option chain snapshots become a partitioned table on PostgreSQL: one table a session day, dropped
whole when it is old, and one of the closes. Rows are copied; old code reads and writes on.

A partitioned table's unique indexes must hold its partition columns: hence `session_date` in the
first constraint (it follows from `taken_at`), and no primary key in the database. `id` is given by
its sequence and has a plain index."""

from django.db import migrations, models

TABLE = "marketdata_optionchainsnapshot"
SESSIONS = "marketdata_optionchain_session"
CLOSES = "marketdata_optionchain_close"
COLUMNS = (
    "id, underlying_id, expiry_date, kind, session_date, taken_at, spot, volatility,"
    " put_call_ratio, max_pain, blast_probability, blast_move, columns"
)
LAST = (
    f"INSERT INTO {TABLE} ({COLUMNS}) SELECT {COLUMNS} FROM {TABLE}_old",
    f"SELECT setval(pg_get_serial_sequence('{TABLE}', 'id'),"
    f" (SELECT COALESCE(max(id), 1) FROM {TABLE}_old))",
    f"DROP TABLE {TABLE}_old",
    f"ALTER TABLE {TABLE} ADD CONSTRAINT option_chain_snapshot_unique"
    " UNIQUE (underlying_id, expiry_date, taken_at, kind, session_date)",
    f"CREATE INDEX option_chain_by_day ON {TABLE} (kind, session_date)",
    f"CREATE INDEX option_chain_by_underlying ON {TABLE} (underlying_id)",
    f"ALTER TABLE {TABLE} ADD CONSTRAINT option_chain_underlying FOREIGN KEY (underlying_id)"
    " REFERENCES marketdata_instrument (id) DEFERRABLE INITIALLY DEFERRED",
)


def _empty_like(schema_editor, partitioned):
    schema_editor.execute(f"ALTER TABLE {TABLE} RENAME TO {TABLE}_old")
    schema_editor.execute(
        f"CREATE TABLE {TABLE} (LIKE {TABLE}_old INCLUDING DEFAULTS INCLUDING IDENTITY){partitioned}"
    )


def partition(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT session_date FROM {TABLE} WHERE kind = 'SESSION'")
        days = [day for (day,) in cursor.fetchall()]
    _empty_like(schema_editor, " PARTITION BY LIST (kind)")
    schema_editor.execute(f"CREATE TABLE {CLOSES} PARTITION OF {TABLE} FOR VALUES IN ('CLOSE')")
    schema_editor.execute(
        f"CREATE TABLE {SESSIONS} PARTITION OF {TABLE} FOR VALUES IN ('SESSION')"
        " PARTITION BY RANGE (session_date)"
    )
    schema_editor.execute(f"CREATE TABLE {SESSIONS}_default PARTITION OF {SESSIONS} DEFAULT")
    for day in days:
        schema_editor.execute(
            f"CREATE TABLE {SESSIONS}_{day:%Y%m%d} PARTITION OF {SESSIONS}"
            f" FOR VALUES FROM ('{day}') TO (date '{day}' + 1)"
        )
    for statement in LAST:
        schema_editor.execute(statement)
    schema_editor.execute(
        f"CREATE UNIQUE INDEX option_chain_close_unique ON {CLOSES}"
        " (underlying_id, expiry_date, session_date)"
    )
    schema_editor.execute(f"CREATE INDEX option_chain_id ON {TABLE} (id)")


def join(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        return
    _empty_like(schema_editor, "")
    for statement in LAST:
        schema_editor.execute(statement)
    schema_editor.execute(
        f"CREATE UNIQUE INDEX option_chain_close_unique ON {TABLE}"
        " (underlying_id, expiry_date, session_date) WHERE kind = 'CLOSE'"
    )
    schema_editor.execute(f"ALTER TABLE {TABLE} ADD PRIMARY KEY (id)")


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0006_news_source_kind")]

    operations = [
        migrations.RemoveConstraint("optionchainsnapshot", "option_chain_snapshot_unique"),
        migrations.AddConstraint(
            "optionchainsnapshot",
            models.UniqueConstraint(
                fields=["underlying", "expiry_date", "taken_at", "kind", "session_date"],
                name="option_chain_snapshot_unique",
            ),
        ),
        migrations.RunPython(partition, join),
    ]
