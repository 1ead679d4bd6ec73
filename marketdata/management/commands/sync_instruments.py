"""`manage.py sync_instruments SOURCE`: Upstox's instrument file into the database."""

from pathlib import Path
from typing import Any

import requests
from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from marketdata import instruments, services
from marketdata.upstox.rest import USER_AGENT
from mockmarket.core.errors import DomainError

FILE_BYTES_MAX = 64 * 1024 * 1024


class Command(BaseCommand):
    help = "Import Upstox's instrument file (.json or .json.gz, a path or an http(s) URL)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("source", help="path or URL")
        parser.add_argument(
            "--segments",
            default="",
            help=f"further segments, comma separated, beside {', '.join(instruments.SHARES)}",
        )
        parser.add_argument(
            "--universe", action="store_true", help="list every ordinary share on the market page"
        )
        parser.add_argument(
            "--allow-shrink", action="store_true", help="accept a file that retires most shares"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {part.strip() for part in options["segments"].split(",") if part.strip()}
        unknown = wanted - instruments.SEGMENTS
        if unknown:
            raise CommandError(
                f"Unknown segment {', '.join(sorted(unknown))};"
                f" known are {', '.join(sorted(instruments.SEGMENTS))}."
            )
        data = _read(options["source"])
        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("Importing instruments", total=None)
            try:
                result = services.sync_instruments(
                    data=data,
                    segments={*instruments.SHARES, *wanted},
                    extend_universe=options["universe"],
                    allow_shrink=options["allow_shrink"],
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
            except (instruments.UnreadableFile, DomainError) as error:
                raise CommandError(f"{options['source']}: {error}") from error
        self.stdout.write(
            f"{result.added} added, {result.changed} changed, {result.unchanged} unchanged,"
            f" {result.retired} retired, {sum(result.skipped.values())} skipped"
        )
        for reason, count in sorted(result.skipped.items()):
            self.stdout.write(f"  skipped {count}: {reason}")


def _read(source: str) -> bytes:
    """The file's bytes. Raises CommandError with one clear line."""
    if source.startswith(("http://", "https://")):
        try:
            with requests.get(
                source, headers={"User-Agent": USER_AGENT}, timeout=(5, 60), stream=True
            ) as response:
                response.raise_for_status()
                data = response.raw.read(FILE_BYTES_MAX + 1, decode_content=True)
        except requests.RequestException as error:
            raise CommandError(f"Cannot fetch {source}: {error}") from error
    else:
        try:
            with Path(source).open("rb") as handle:
                data = handle.read(4 * FILE_BYTES_MAX + 1)
        except OSError as error:
            raise CommandError(f"Cannot read {source}: {error.strerror}") from error
    if len(data) > 4 * FILE_BYTES_MAX:
        raise CommandError(f"{source} is too large for an instrument file.")
    return bytes(data)
