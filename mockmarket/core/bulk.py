"""Insert and update many rows at the price of one statement.

Django's `bulk_create` sends arrays to PostgreSQL, and escaping JSON inside an array cost more than
half of a settlement; COPY needs none of it (row triggers and constraints fire all the same).
Django's `bulk_update` builds a CASE per column, whose cost grows with the square of the rows:
10,000 orders took longer than all the rest of their settlement. PostgreSQL joins arrays
instead, SQLite repeats one prepared statement.
"""

from collections.abc import Sequence
from typing import Any, cast

import orjson
from django.db import DEFAULT_DB_ALIAS, connection, connections, models


def insert_rows(rows: Sequence[models.Model]) -> None:
    """Insert new `rows`, all of one model, whose primary keys the caller does not read back."""
    if not rows:
        return
    model = type(rows[0])
    if connection.vendor != "postgresql":
        model._default_manager.bulk_create(rows)
        return
    columns = [
        column
        for column in model._meta.concrete_fields
        if not (column.primary_key and isinstance(column, models.AutoField))
    ]
    database = connections[DEFAULT_DB_ALIAS]  # not the proxy, which looks itself up each time
    quote = database.ops.quote_name
    names = ", ".join(quote(str(column.column)) for column in columns)
    texts: dict[int, str] = {}
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {quote(model._meta.db_table)} ({names}) FROM STDIN") as copy,
    ):
        for row in rows:
            copy.write_row([_copied(row, column, texts, database) for column in columns])


def _copied(
    row: models.Model, column: "models.Field[Any, Any]", texts: dict[int, str], database: Any
) -> Any:
    """A value as COPY takes it. `texts` keeps the JSON of objects that many rows share."""
    value = getattr(row, column.attname)
    if not isinstance(column, models.JSONField):
        return column.get_db_prep_save(value, database)
    if value is None:
        return None
    text = texts.get(id(value))
    if text is None:
        text = texts[id(value)] = orjson.dumps(value).decode()
    return text


def update_rows(rows: Sequence[models.Model], *, fields: Sequence[str]) -> None:
    """Store `fields` of saved `rows`, all of one model, as they now are."""
    if not rows:
        return
    meta = rows[0]._meta
    key = meta.pk
    assert key is not None, "a stored model has a primary key"
    columns = [cast("models.Field[Any, Any]", meta.get_field(name)) for name in fields]
    values = [
        [
            column.get_db_prep_save(getattr(row, column.attname), connection)
            for column in (*columns, key)
        ]
        for row in rows
    ]
    quote = connection.ops.quote_name
    table = quote(meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            names = [quote(str(column.column)) for column in columns]
            types = [_array_type(column) for column in (*columns, key)]
            arrays = ", ".join(f"%s::{kind}[]" for kind in types)
            aliases = ", ".join([*names, "row_key"])
            assigned = ", ".join(f"{name} = new.{name}" for name in names)
            cursor.execute(
                f"UPDATE {table} SET {assigned} FROM unnest({arrays}) AS new({aliases})"  # noqa: S608
                f" WHERE {table}.{quote(str(key.column))} = new.row_key",
                [list(column) for column in zip(*values, strict=True)],
            )
        else:
            assigned = ", ".join(f"{quote(str(column.column))} = %s" for column in columns)
            cursor.executemany(
                f"UPDATE {table} SET {assigned} WHERE {quote(str(key.column))} = %s",  # noqa: S608
                values,
            )


def _array_type(column: "models.Field[Any, Any]") -> str:
    kind = column.db_type(connection)
    # A serial key is declared by a sequence; its values are plain integers.
    return {"serial": "integer", "bigserial": "bigint"}.get(str(kind), str(kind)).split(" CHECK")[0]
