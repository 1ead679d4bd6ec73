"""Postings and entries are append-only, and an entry balances, on both engines.

Postings are inserted first, then their entry: the entry's trigger checks that there is at least
one posting and that they sum to zero. From then on the database refuses every change.

SQLite rebuilds a table when a later migration alters it and drops its triggers: such a migration
must run these statements again (a test looks for the triggers after all migrations).
"""

from django.db import migrations

TABLES = ("portfolios_ledgerentry", "portfolios_posting")

POSTGRESQL = """
CREATE FUNCTION ledger_entry_balances() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    total numeric;
    legs integer;
BEGIN
    SELECT coalesce(sum(amount), 0), count(*) INTO total, legs
      FROM portfolios_posting WHERE entry_id = NEW.id AND portfolio_id = NEW.portfolio_id;
    IF legs = 0 OR total <> 0 OR EXISTS (
        SELECT 1 FROM portfolios_posting
         WHERE entry_id = NEW.id AND portfolio_id <> NEW.portfolio_id
    ) THEN
        RAISE EXCEPTION 'ledger entry % does not balance: % postings, sum %', NEW.id, legs, total
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION ledger_posting_before_entry() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM portfolios_ledgerentry WHERE id = NEW.entry_id) THEN
        RAISE EXCEPTION 'ledger entry % is closed', NEW.entry_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE FUNCTION ledger_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER ledgerentry_balances BEFORE INSERT ON portfolios_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION ledger_entry_balances();
CREATE TRIGGER posting_before_entry BEFORE INSERT ON portfolios_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_posting_before_entry();
CREATE TRIGGER ledgerentry_append_only BEFORE UPDATE OR DELETE ON portfolios_ledgerentry
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
CREATE TRIGGER posting_append_only BEFORE UPDATE OR DELETE ON portfolios_posting
    FOR EACH ROW EXECUTE FUNCTION ledger_append_only();
"""

POSTGRESQL_REVERSE = """
DROP TRIGGER IF EXISTS posting_append_only ON portfolios_posting;
DROP TRIGGER IF EXISTS ledgerentry_append_only ON portfolios_ledgerentry;
DROP TRIGGER IF EXISTS posting_before_entry ON portfolios_posting;
DROP TRIGGER IF EXISTS ledgerentry_balances ON portfolios_ledgerentry;
DROP FUNCTION IF EXISTS ledger_append_only();
DROP FUNCTION IF EXISTS ledger_posting_before_entry();
DROP FUNCTION IF EXISTS ledger_entry_balances();
"""

SQLITE = [
    """
    CREATE TRIGGER ledgerentry_balances BEFORE INSERT ON portfolios_ledgerentry
    WHEN NOT EXISTS (SELECT 1 FROM portfolios_posting WHERE entry_id = NEW.id)
      OR (SELECT sum(amount) FROM portfolios_posting WHERE entry_id = NEW.id) <> 0
      OR EXISTS (SELECT 1 FROM portfolios_posting
                  WHERE entry_id = NEW.id AND portfolio_id <> NEW.portfolio_id)
    BEGIN SELECT RAISE(ABORT, 'ledger entry does not balance'); END
    """,
    """
    CREATE TRIGGER posting_before_entry BEFORE INSERT ON portfolios_posting
    WHEN EXISTS (SELECT 1 FROM portfolios_ledgerentry WHERE id = NEW.entry_id)
    BEGIN SELECT RAISE(ABORT, 'ledger entry is closed'); END
    """,
    """
    CREATE TRIGGER ledgerentry_no_update BEFORE UPDATE ON portfolios_ledgerentry
    BEGIN SELECT RAISE(ABORT, 'portfolios_ledgerentry is append-only'); END
    """,
    """
    CREATE TRIGGER ledgerentry_no_delete BEFORE DELETE ON portfolios_ledgerentry
    BEGIN SELECT RAISE(ABORT, 'portfolios_ledgerentry is append-only'); END
    """,
    """
    CREATE TRIGGER posting_no_update BEFORE UPDATE ON portfolios_posting
    BEGIN SELECT RAISE(ABORT, 'portfolios_posting is append-only'); END
    """,
    """
    CREATE TRIGGER posting_no_delete BEFORE DELETE ON portfolios_posting
    BEGIN SELECT RAISE(ABORT, 'portfolios_posting is append-only'); END
    """,
]
SQLITE_TRIGGERS = (
    "ledgerentry_balances",
    "posting_before_entry",
    "ledgerentry_no_update",
    "ledgerentry_no_delete",
    "posting_no_update",
    "posting_no_delete",
)


def create_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, None)
    else:
        for statement in SQLITE:
            schema_editor.execute(statement, None)


def drop_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_REVERSE, None)
    else:
        for name in SQLITE_TRIGGERS:
            schema_editor.execute(f"DROP TRIGGER IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("portfolios", "0002_books")]

    operations = [migrations.RunPython(create_triggers, drop_triggers)]
