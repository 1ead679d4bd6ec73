"""`manage.py check_ledger`: prove the books, or say what is wrong with them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction

from trading import verification


class Command(BaseCommand):
    """Exits with 1 and one line a finding when the books do not prove."""

    help = (
        "Prove that postings sum to zero, balances equal postings, positions equal fills and"
        " reservations equal open orders."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--portfolio", type=int, action="append", help="Only this portfolio.")

    def handle(self, *args: Any, portfolio: list[int] | None, **options: Any) -> None:
        with _one_moment():
            findings = verification.check_ledger(portfolio_ids=portfolio)
        for finding in findings:
            self.stdout.write(f"{finding.code}  {finding.where}: {finding.message}")
        if findings:
            raise CommandError(f"{len(findings)} findings: the books do not prove.")
        self.stdout.write("The books prove: postings, balances, positions and reservations agree.")


@contextmanager
def _one_moment() -> Iterator[None]:
    """All statements see the books of one moment, while others write to them."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            # None is cut off as a page's would be.
            cursor.execute("SET LOCAL statement_timeout = 0")
            cursor.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield
    else:
        # In write-ahead mode a deferred transaction reads the state of its first statement;
        # Django's own would be IMMEDIATE (settings) and let nobody write.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")
