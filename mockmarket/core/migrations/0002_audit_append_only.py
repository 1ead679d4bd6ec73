"""Audit entries are never changed or removed, whoever asks: triggers on both engines."""

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON core_auditentry
    FOR EACH ROW EXECUTE FUNCTION audit_append_only();
"""
POSTGRESQL_REVERSE = """
DROP TRIGGER IF EXISTS audit_append_only ON core_auditentry;
DROP FUNCTION IF EXISTS audit_append_only();
"""
SQLITE = """
CREATE TRIGGER audit_no_{event} BEFORE {event} ON core_auditentry
BEGIN SELECT RAISE(ABORT, 'core_auditentry is append-only'); END
"""
EVENTS = ("UPDATE", "DELETE")


def create_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, None)
    else:
        for event in EVENTS:
            schema_editor.execute(SQLITE.format(event=event), None)


def drop_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_REVERSE, None)
    else:
        for event in EVENTS:
            schema_editor.execute(f"DROP TRIGGER IF EXISTS audit_no_{event}", None)


class Migration(migrations.Migration):
    dependencies = [("core", "0001_initial")]

    operations = [migrations.RunPython(create_triggers, drop_triggers)]
