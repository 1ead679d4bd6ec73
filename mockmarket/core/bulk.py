"""Insert and update many rows at the price of one statement.

Django's `bulk_create` sends arrays to PostgreSQL, and escaping JSON inside an array cost more than
half of a settlement; COPY needs none of it (row triggers and constraints fire all the same).
Django's `bulk_update` builds a CASE per column, whose cost grows with the square of the rows:
10,000 orders took longer than all the rest of their settlement. PostgreSQL joins arrays
instead, SQLite repeats one prepared statement.

Django asks five methods what a value becomes in the database; that was a quarter of a settlement.
Here the question is asked once a column, and most values are what the driver takes already.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

import orjson
from django.db import DEFAULT_DB_ALIAS, connections, models

from mockmarket.core.money import FixedPointField

_Column: TypeAlias = "models.Field[Any, Any]"
_Prepare = Callable[[Any], Any]

# What each driver takes as it is.
_PLAIN = {
    "postgresql": frozenset({int, str, bool, type(None), uuid.UUID, datetime, date}),
    "sqlite": frozenset({int, str, bool, type(None)}),
}


class Json(str):
    """A JSON column's text, ready to be stored."""

    __slots__ = ()


def insert_rows(rows: Sequence[models.Model]) -> None:
    """Insert new `rows`, all of one model, whose primary keys the caller does not read back."""
    if not rows:
        return
    model = type(rows[0])
    names = [column.attname for column in model._meta.concrete_fields if not _numbered(column)]
    insert_values(model, names, ([getattr(row, name) for name in names] for row in rows))


def insert_values(
    model: type[models.Model], names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Insert rows given as the values of `names`: every column but a numbered primary key, by its
    `attname`. Spares the model instances where there are many rows and nobody needs them."""
    database = _database()
    columns = [_column(model, name) for name in names]
    prepared = _prepared(rows, columns, database)
    quote = database.ops.quote_name
    table, listed = quote(model._meta.db_table), ", ".join(quote(str(c.column)) for c in columns)
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({listed}) FROM STDIN") as copy:
                for row in prepared:
                    copy.write_row(row)
        else:
            places = ", ".join(["%s"] * len(columns))
            cursor.executemany(f"INSERT INTO {table} ({listed}) VALUES ({places})", prepared)  # noqa: S608


def update_rows(rows: Sequence[models.Model], *, fields: Sequence[str]) -> None:
    """Store `fields` of saved `rows`, all of one model, as they now are."""
    if not rows:
        return
    database = _database()
    meta = rows[0]._meta
    key = meta.pk
    assert key is not None, "a stored model has a primary key"
    columns = [_column(type(rows[0]), name) for name in fields]
    names = [column.attname for column in (*columns, key)]
    values = list(
        _prepared(
            ([getattr(row, name) for name in names] for row in rows), [*columns, key], database
        )
    )
    quote = database.ops.quote_name
    table = quote(meta.db_table)
    with database.cursor() as cursor:
        if database.vendor == "postgresql":
            quoted = [quote(str(column.column)) for column in columns]
            types = [_array_type(column, database) for column in (*columns, key)]
            arrays = ", ".join(f"%s::{kind}[]" for kind in types)
            aliases = ", ".join([*quoted, "row_key"])
            assigned = ", ".join(f"{name} = new.{name}" for name in quoted)
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


def _database() -> Any:
    return connections[DEFAULT_DB_ALIAS]  # not the proxy, which looks itself up each time


def _column(model: type[models.Model], name: str) -> _Column:
    found: _Column = model._meta.get_field(name.removesuffix("_id"))  # type: ignore[assignment]
    return found


def _numbered(column: Any) -> bool:
    return bool(column.primary_key and isinstance(column, models.AutoField))


def _prepared(
    rows: Iterable[Sequence[Any]], columns: Sequence[_Column], database: Any
) -> Iterable[list[Any]]:
    prepares = [_prepare(column, database) for column in columns]
    for row in rows:
        yield [prepare(value) for prepare, value in zip(prepares, row, strict=True)]


def _prepare(column: _Column, database: Any) -> _Prepare:
    """What a value of a column becomes before the driver gets it."""
    if isinstance(column, FixedPointField):
        return column.get_prep_value
    if isinstance(column, models.JSONField):
        return _json()
    plain = _PLAIN[database.vendor]
    text = isinstance(column, (models.CharField, models.TextField))

    def prepare(value: Any) -> Any:
        if type(value) in plain:
            return value
        if text and isinstance(value, str):  # a member of an enumeration
            return str(value)
        return column.get_db_prep_save(value, database)

    return prepare


def _json() -> _Prepare:
    """JSON as text; objects that many rows share are written once."""
    texts: dict[int, tuple[Any, str]] = {}

    def prepare(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, Json):
            return str(value)
        known = texts.get(id(value))
        if known is None:  # the object is kept, or another might come to have its id
            known = texts[id(value)] = value, orjson.dumps(value).decode()
        return known[1]

    return prepare


def _array_type(column: _Column, database: Any) -> str:
    kind = column.db_type(database)
    # A serial key is declared by a sequence; its values are plain integers.
    return {"serial": "integer", "bigserial": "bigint"}.get(str(kind), str(kind)).split(" CHECK")[0]
