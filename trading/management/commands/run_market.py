"""`manage.py run_market`: the market engine, with order matching and valuation on its loop."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand

from marketdata.engine import MarketEngine
from trading.engine import compose


class Command(BaseCommand):
    """Runs until SIGTERM or Ctrl-C. A second one stands by and takes over."""

    help = "Run the market engine: feed, quote board, matching, valuation, publishing."

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        engine = MarketEngine(hooks=compose())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, engine.stop)
        await engine.run()
