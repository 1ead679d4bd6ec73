"""`manage.py seed_market`: the bundled universe and calendar into the database."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from marketdata import calendar, news, services
from mockmarket.core import clock


class Command(BaseCommand):
    help = "Write the bundled universe, the calendar and the news sources; safe to repeat."

    def handle(self, *args: Any, **options: Any) -> None:
        result = services.seed_universe()
        self.stdout.write(f"Universe: {result.total} instruments, {result.added} added.")
        if settings.MARKET_SOURCE == "simulated":
            derivatives = services.seed_derivatives(at=clock.now())
            self.stdout.write(f"Futures and options: {derivatives.added} added.")
        self.stdout.write(f"Calendar: {calendar.seed()} differing days added.")
        self.stdout.write(f"News: {news.seed()} sources added.")
