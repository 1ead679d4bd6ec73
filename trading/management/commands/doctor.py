"""`manage.py doctor`: what is wrong with this installation, and what to do about it."""

import json
import logging
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from marketdata import diagnosis
from mockmarket.core import clock, doctor
from mockmarket.core.doctor import Finding, Level

EXIT_CODES = {Level.OK: 0, Level.WARN: 1, Level.FAIL: 2}
MARKS = {Level.OK: "ok  ", Level.WARN: "WARN", Level.FAIL: "FAIL"}


class Command(BaseCommand):
    help = (
        "Look at settings, database, Redis, migrations, engine, jobs, static files, clock, disk,"
        " backups, certificate, broker token and calendar."
        " Exit code 0: well, 1: warnings, 2: failures."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object, for monitors")

    def handle(self, *args: Any, **options: Any) -> None:
        logging.disable()  # a database that is away writes warnings between the findings
        try:
            findings = doctor.examine(at=clock.now(), more=diagnosis.CHECKS)
        finally:
            logging.disable(logging.NOTSET)
        level = doctor.worst(findings)
        if options["json"]:
            self.stdout.write(
                json.dumps({"level": level, "findings": [asdict(found) for found in findings]})
            )
        else:
            for found in findings:
                self._show(found)
        if EXIT_CODES[level]:
            raise SystemExit(EXIT_CODES[level])

    def _show(self, found: Finding) -> None:
        self.stdout.write(f"{MARKS[found.level]}  {found.check}: {found.message}")
        if found.cure:
            self.stdout.write(f"      -> {found.cure}")
