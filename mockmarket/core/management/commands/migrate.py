"""Django's own `migrate`, without the bound on a statement that pages live under."""

from typing import Any

from django.core.management.commands import migrate
from django.db import connections


class Command(migrate.Command):
    """Building an index on a full table takes longer than a page may wait.

    The bound on waiting for a lock stays: a migration that cannot have it soon fails cleanly
    instead of holding everybody up behind it.
    """

    def handle(self, *args: Any, database: str, **options: Any) -> None:
        connection = connections[database]
        if connection.vendor != "postgresql":
            super().handle(*args, database=database, **options)
            return
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
        try:
            super().handle(*args, database=database, **options)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("RESET statement_timeout")
