"""Make the demonstration: market, practice contest, fifty students, one member of staff."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from mockmarket.core import clock, demo
from portfolios import services


class Command(BaseCommand):
    help = (
        "Seed the demonstration: instruments, the practice contest, student01 to student50 and"
        " the staff login admin, all with one password. Safe to run again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        at = clock.now()
        call_command("seed_market", verbosity=0)
        call_command("sync_staff_groups", verbosity=0)
        password = demo.make_demo_password()
        students = demo.create_users(secret=password)
        services.practice_contest(at=at)
        joined = services.join_practice(users=students, at=at)
        self.stdout.write(
            f"Demonstration: {len(students)} students ({joined} new in practice) and"
            f" {demo.STAFF}; password: {password}"
        )
