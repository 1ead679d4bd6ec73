"""`manage.py try_blast`: measure the gamma-blast figure on days of the simulated exchange."""

import json
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from marketdata.exchange import trial
from marketdata.options.trial import RESULT


class Command(BaseCommand):
    """Prints the record; `--write` keeps it as the one that the page shows."""

    help = "Measure how often the gamma-blast figure's alerts come true on simulated days."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--days", type=int, default=60)
        parser.add_argument("--first", type=date.fromisoformat, default=date(2026, 1, 5))
        parser.add_argument("--write", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        text = json.dumps(trial.run(first=options["first"], days=options["days"]), indent=2)
        if options["write"]:
            RESULT.write_text(f"{text}\n")
        self.stdout.write(text)
