"""`manage.py verify_fills`: decide every stored fill again from what it stores, and reckon every
mark, expiry and margin of derivatives again."""

from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from trading import verification
from trading.derivatives import proving
from trading.models import Fill


class Command(BaseCommand):
    """Exits with 1 and one line a difference."""

    help = "Derive every stored fill again, price, quantity, rules and charges, bit for bit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--portfolio", type=int, help="Only this portfolio.")

    def handle(self, *args: Any, portfolio: int | None, **options: Any) -> None:
        fills = Fill.objects.all()
        if portfolio is not None:
            fills = fills.filter(order__portfolio_id=portfolio)
        checked, wrong = self._tell(verification.verify_fills(fills=fills))
        changes, differing = self._tell(proving.verify_changes(portfolio_id=portfolio))
        if wrong or differing:
            raise CommandError(
                f"{wrong} of {checked} fills and {differing} of {changes} settlements differ"
                " from what the rules decide."
            )
        self.stdout.write(f"{checked} fills and {changes} settlements derived again, bit for bit.")

    def _tell(self, found: Iterable[verification.Finding | None]) -> tuple[int, int]:
        """Print the findings; how many were checked and how many are wrong."""
        checked = wrong = 0
        for finding in found:
            checked += 1
            if finding is not None:
                wrong += 1
                self.stdout.write(f"{finding.code}  {finding.where}: {finding.message}")
        return checked, wrong
