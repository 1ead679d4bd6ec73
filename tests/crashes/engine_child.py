"""One engine in a process of its own: load, match one gap, book. Dies where FAILPOINT says.

Run as `python -m tests.crashes.engine_child KEY PRICE`; prints the seconds until it was ready.
"""

import sys
import time

import django

django.setup()

from marketdata.models import Instrument  # noqa: E402
from mockmarket.core import clock  # noqa: E402
from tests.trading.floor import Floor  # noqa: E402


def main(key: str, price: float) -> None:
    began = time.monotonic()
    instrument = Instrument.objects.get(key=key)
    floor = Floor(now=clock.now())
    print(f"{time.monotonic() - began:.2f}", flush=True)  # noqa: T201
    floor.tick(instrument, price, asks=[(price, 1_000)], previous_close=100.0)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
