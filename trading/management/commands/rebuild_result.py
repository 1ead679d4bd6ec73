"""`manage.py rebuild_result SLUG`: derive a contest's result again and compare."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portfolios.models import Contest
from trading import rebuild


class Command(BaseCommand):
    """Exits with 1 and one line a difference when the frozen result does not follow."""

    help = "Derive a finished contest's result from its ledger, fills and closing prices again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("contest", help="Its slug.")

    def handle(self, *args: Any, contest: str, **options: Any) -> None:
        found = Contest.objects.filter(slug=contest).first()
        if found is None:
            raise CommandError(f"There is no contest {contest!r}.")
        try:
            frozen, derived = rebuild.rebuild(contest=found)
        except rebuild.NotFrozen as error:
            raise CommandError(error.message) from error
        again = {placing.portfolio_id: placing for placing in derived}
        different = [p for p in frozen if again.get(p.portfolio_id) != p]
        for placing in different:
            self.stdout.write(f"frozen  {placing}\nderived {again.get(placing.portfolio_id)}")
        if different:
            raise CommandError(f"{len(different)} of {len(frozen)} places do not follow.")
        self.stdout.write(f"All {len(frozen)} places follow from the books.")
