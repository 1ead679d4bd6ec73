"""Fills and position changes stay as they were written: triggers on both engines refuse every
change, as for ledger entries and postings.

SQLite drops a table's triggers when a later migration rebuilds it: such a migration must run
these statements again (a test looks for the triggers after all migrations).
"""

from django.db import migrations

TABLES = ("trading_fill", "trading_positionchange")
EVENTS = ("UPDATE", "DELETE")
POSTGRESQL = """
CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
"""
SQLITE = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""


def create_triggers(apps, schema_editor):
    for table in TABLES:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(POSTGRESQL.format(table=table), None)
        else:
            for event in EVENTS:
                schema_editor.execute(SQLITE.format(table=table, event=event), None)


def drop_triggers(apps, schema_editor):
    for table in TABLES:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_append_only ON {table}", None)
        else:
            for event in EVENTS:
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{event}", None)


class Migration(migrations.Migration):
    dependencies = [
        ("portfolios", "0003_ledger_triggers"),
        ("trading", "0010_corporate_actions"),
    ]

    operations = [migrations.RunPython(create_triggers, drop_triggers)]
