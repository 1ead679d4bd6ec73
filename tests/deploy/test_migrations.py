"""Every migration can be undone, and the previous version's code survives it.

While web processes are replaced one after the other, old code writes into the new tables: a new
column needs NULL or a default in the database, and nothing that old code reads may go or change
its name in the same release. Django's own checks do not look at this.
"""

from collections.abc import Iterator

import pytest
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

OURS = ("core", "marketdata", "portfolios", "trading")
# Written before the first release: no running code is older than these.
BEFORE_FIRST_RELEASE = {
    "core": 3,
    "marketdata": 6,
    "portfolios": 6,
    "trading": 10,
}
CONTRACTING = (
    migrations.RemoveField,
    migrations.RenameField,
    migrations.RenameModel,
    migrations.DeleteModel,
    migrations.AlterModelTable,
)


def complaint(operation: Operation) -> str | None:
    """Why old code would not survive an operation, or None."""
    if isinstance(operation, migrations.SeparateDatabaseAndState):
        # What only the models forget, the table keeps.
        found = map(complaint, operation.database_operations)
        return next((text for text in found if text), None)
    if isinstance(operation, CONTRACTING):
        return f"{operation.describe()}: old code still reads it; do so one release later"
    if isinstance(operation, migrations.AddField):
        field = operation.field
        if not (field.null or field.has_db_default() or field.many_to_many):
            return f"{operation.describe()}: old code leaves it out; give null=True or db_default"
    return None


def ours() -> Iterator[tuple[str, migrations.Migration]]:
    loader = MigrationLoader(connection)
    for (app, name), migration in sorted(loader.disk_migrations.items()):
        if app in OURS:
            yield f"{app}.{name}", migration


def released() -> Iterator[tuple[str, migrations.Migration]]:
    for name, migration in ours():
        app, number = name.split(".")[0], int(name.split(".")[1][:4])
        if number > BEFORE_FIRST_RELEASE[app]:
            yield name, migration


@pytest.mark.django_db
def test_every_migration_can_be_undone() -> None:
    checked = 0
    for name, migration in ours():
        for operation in migration.operations:
            assert operation.reversible, f"{name}: {operation.describe()} cannot be undone"
            checked += 1
    assert checked > 50


@pytest.mark.django_db
def test_old_code_survives_every_migration_since_the_first_release() -> None:
    found = [
        f"{name}: {text}"
        for name, migration in released()
        for operation in migration.operations
        if (text := complaint(operation))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "operation",
    [
        migrations.AddField("order", "colour", models.CharField(max_length=9, default="")),
        migrations.RemoveField("order", "status"),
        migrations.RenameField("order", "status", "state"),
        migrations.DeleteModel("order"),
        migrations.RenameModel("order", "ticket"),
        migrations.SeparateDatabaseAndState([migrations.RemoveField("order", "status")]),
    ],
    ids=lambda operation: operation.describe(),
)
def test_control_what_breaks_old_code_is_found(operation: Operation) -> None:
    assert complaint(operation)


def test_what_only_the_models_forget_is_let_through() -> None:
    forgotten = [migrations.RemoveField("order", "status")]
    operation = migrations.SeparateDatabaseAndState(state_operations=forgotten)
    assert complaint(operation) is None


@pytest.mark.parametrize(
    "field",
    [models.CharField(max_length=9, null=True), models.CharField(max_length=9, db_default="")],
    ids=["null", "db_default"],
)
def test_what_old_code_survives_is_let_through(field: models.Field) -> None:
    assert complaint(migrations.AddField("order", "colour", field)) is None
