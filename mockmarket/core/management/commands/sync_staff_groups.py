from typing import Any

from django.core.management.base import BaseCommand

from mockmarket.core import staff_groups


class Command(BaseCommand):
    help = "Create or update the staff's permission groups."

    def handle(self, *args: Any, **options: Any) -> None:
        for group in staff_groups.sync():
            self.stdout.write(f"{group.name}: {group.permissions.count()} permissions.")
