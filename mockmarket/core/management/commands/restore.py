"""Put an installation back to the state of a backup."""

import fcntl
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from mockmarket.core import backups, clock, failpoints, restoring


class Command(BaseCommand):
    help = (
        "Replace the database by that of a backup, migrate it, check the books. Stop the product"
        " first. Everything written since the backup is lost."
    )
    # They ask the database that is about to be replaced.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "file", type=Path, nargs="?", help="the backup; the newest of BACKUP_DIR if not given"
        )
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--check", action="store_true", help="only look whether it is whole")
        parser.add_argument(
            "--prove", action="store_true",
            help="restore it beside the running product, check its books, forget the copy",
        )  # fmt: skip
        parser.add_argument(
            "--accept-findings", action="store_true",
            help="keep the restored database although its books do not prove",
        )  # fmt: skip

    def handle(self, *args: Any, file: Path | None, **options: Any) -> None:
        self.began = time.perf_counter()
        path = file or self._newest()
        try:
            manifest = backups.inspect(path)
            self._tell(f"{path}: whole, taken {manifest.created_at}, {manifest.vendor}")
            if options["check"]:
                return
            if options["prove"]:
                self._prove(path, manifest)
            else:
                accept = options["accept_findings"]
                self._replace(path, manifest, yes=options["yes"], accept=accept)
        except (backups.BadBackup, restoring.RestoreFailed) as error:
            raise CommandError(error.message) from error

    def _prove(self, path: Path, manifest: backups.Manifest) -> None:
        with restoring.elsewhere(path, manifest, tell=self._tell):
            self._finish(accept=False)
        seconds = time.perf_counter() - self.began
        backups.note_proof(path=path, at=clock.now(), seconds=seconds)
        self._tell("proven: this backup can be restored")

    def _replace(self, path: Path, manifest: backups.Manifest, *, yes: bool, accept: bool) -> None:
        if not yes and input("Replace the present database by it? Type yes: ") != "yes":
            raise CommandError("nothing was changed")
        restored = restoring.replaced(path, manifest, key=settings.BACKUP_KEY, tell=self._tell)
        with _product_stopped(), restored:
            self._finish(accept=accept)
        self._tell("restored: start the product")

    def _finish(self, *, accept: bool) -> None:
        """Bring the restored tables to this version and prove the books."""
        call_command("migrate", interactive=False, verbosity=0)
        restoring.begin_new_epochs()
        failpoints.reach("restore.migrated")
        self._tell("migrated; now the books:")
        try:
            call_command("check_ledger", stdout=self.stdout)
        except CommandError as error:
            if not accept:
                raise CommandError(
                    f"{error} The database from before is in place. To take this backup all the"
                    " same: --accept-findings."
                ) from error

    def _newest(self) -> Path:
        found = backups.newest(Path(settings.BACKUP_DIR))
        if found is None:
            raise CommandError(f"there is no backup in {settings.BACKUP_DIR}: name a file")
        return found[0]

    def _tell(self, text: str) -> None:
        self.stdout.write(f"{time.perf_counter() - self.began:6.1f} s  {text}")
        self.stdout.flush()


@contextmanager
def _product_stopped() -> Iterator[None]:
    settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
    with (settings.VAR_DIR / "up.lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError("the product is running here: stop it first") from error
        yield
