"""`manage.py check_ledger`: prove the books, or say what is wrong with them."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

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
        findings = verification.check_ledger(portfolio_ids=portfolio)
        for finding in findings:
            self.stdout.write(f"{finding.code}  {finding.where}: {finding.message}")
        if findings:
            raise CommandError(f"{len(findings)} findings: the books do not prove.")
        self.stdout.write("The books prove: postings, balances, positions and reservations agree.")
