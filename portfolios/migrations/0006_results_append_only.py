"""A contest's result stays as it was frozen: triggers on both engines refuse every change."""

from django.db import migrations

TABLES = ("portfolios_result", "portfolios_contestclosing")
EVENTS = ("UPDATE", "DELETE")
POSTGRESQL = """
CREATE TRIGGER {table}_frozen BEFORE UPDATE OR DELETE ON {table}
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
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_frozen ON {table}", None)
        else:
            for event in EVENTS:
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{event}", None)


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0005_results_journal_announcements")]

    operations = [migrations.RunPython(create_triggers, drop_triggers)]
