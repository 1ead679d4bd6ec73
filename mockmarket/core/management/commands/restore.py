"""Put an installation back to the state of a backup."""

import fcntl
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from mockmarket.core import backups


class Command(BaseCommand):
    help = (
        "Replace the database by that of a backup, migrate it, check the books. Stop the product"
        " first. Everything written since the backup is lost."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--check", action="store_true", help="only look whether it is whole")

    def handle(self, *args: Any, file: Path, yes: bool, check: bool, **options: Any) -> None:
        began = time.perf_counter()
        try:
            manifest = backups.inspect(file)
        except backups.BadBackup as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{file}: whole, taken {manifest.created_at}, {manifest.vendor}")
        if check:
            return
        if not yes and input("Replace the present database by it? Type yes: ") != "yes":
            raise CommandError("nothing was changed")
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        with (settings.VAR_DIR / "up.lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise CommandError("the product is running here: stop it first") from error
            try:
                backups.restore(file, key=settings.BACKUP_KEY)
            except (backups.BadBackup, backups.BackupFailed) as error:
                raise CommandError(error.message) from error
            call_command("migrate", interactive=False, verbosity=0)
            backups.begin_new_epochs()
        self.stdout.write(f"Restored in {time.perf_counter() - began:.1f} s. Checking the books:")
        call_command("check_ledger", stdout=self.stdout)
