"""Take a backup while trading goes on."""

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from mockmarket.core import alarms, backups, clock
from mockmarket.core.backups import FAILED_ALARM


class Command(BaseCommand):
    help = (
        "Write one backup file: a consistent snapshot of the database and, with BACKUP_KEY, the"
        " generated secrets. It is read back before older ones are thinned: all of a day are kept,"
        " then one a day for 30 days."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--to", type=Path, default=Path(settings.BACKUP_DIR), help="folder of the backups"
        )
        parser.add_argument("--keep-all", action="store_true", help="thin nothing out")

    def handle(self, *args: Any, to: Path, keep_all: bool, **options: Any) -> None:
        at, began = clock.now(), time.perf_counter()
        try:
            path = backups.take(folder=to, at=at, key=settings.BACKUP_KEY)
        except backups.BackupFailed as error:
            alarms.raise_alarm(name=FAILED_ALARM, message=error.message, at=at)
            raise CommandError(error.message) from error
        alarms.clear(name=FAILED_ALARM)
        gone = [] if keep_all else backups.expired([p.name for p in to.iterdir()], at=at)
        for name in gone:
            (to / name).unlink(missing_ok=True)
        self.stdout.write(
            f"{path}: {path.stat().st_size / 1e6:.1f} MB, written and read back in"
            f" {time.perf_counter() - began:.1f} s"
            f"{'' if settings.BACKUP_KEY else '; without secrets (BACKUP_KEY is unset)'}"
            f"{f'; {len(gone)} old ones removed' if gone else ''}"
        )
