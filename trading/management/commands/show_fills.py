"""`manage.py show_fills RECORDING`: what a fixed set of orders gets on a recorded session."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from marketdata import universe
from marketdata.exchange import recordings
from marketdata.models import Instrument
from mockmarket.core import clock
from portfolios import contests
from trading import facts, fidelity

HEAD = """# Fills on a recorded session

A fixed set of orders, the same for every share, against the updates of {day} as they were
received: through the feed's own wire, the quote board and the desk, with the settings of practice.
Each line is one fill with the quote that justifies it: five levels of the other side, and the
quote's age when it was decided. The page is the output of `manage.py show_fills`; tests compare
the two where the recording is at hand, and prove every line of a small recording by the rules.
"""


class Command(BaseCommand):
    """Prints Markdown."""

    help = "A table of fills of a fixed set of orders on a recorded session, with their quotes."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("recordings", nargs="+", type=Path, help="files of one day")
        parser.add_argument("--records", type=int, default=6_000, help="of each file at most")

    def handle(self, *args: Any, records: int, **options: Any) -> None:
        try:
            parts = [recordings.load(one, each_max=records) for one in options["recordings"]]
        except recordings.NoRecording as error:
            raise CommandError(str(error)) from error
        found = recordings.InMemory([entry for part in parts for entry in part])
        known = {row.key: row for row in universe.load()}
        firsts = found.overview().firsts
        instruments = {
            key: Instrument(
                pk=number,
                key=key,
                symbol=known[key].symbol if key in known else key.split("|")[1],
                segment=key.split("|")[0],
                instrument_type="EQ",
                tick_size=known[key].tick_size if key in known else "0.05",
                lot_size=1,
            )
            for number, key in enumerate(sorted(firsts), 1)
        }
        settings = facts.settings_of(contests.Rules())
        rows, outcomes = fidelity.run(found, instruments=instruments, settings=settings)
        first = min(entry.at_ms for entry in firsts.values())
        day = clock.from_ms(first).astimezone(clock.IST).strftime("%-d %B %Y")
        self.stdout.write(HEAD.format(day=day))
        self.stdout.write("\n" + "\n".join(fidelity.lines(rows, outcomes)).rstrip())
