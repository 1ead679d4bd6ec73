"""Engines in processes of their own: each loads, matches one gap and books. Dies where told.

`python -m tests.crashes.engine_child` imports everything once and then forks an engine for each
line of its input: KEY PRICE FAILPOINT (or - for none), apart by tabs. It answers a line of JSON:
how the engine ended and the seconds until it was ready. A new interpreter each would be 3 s of
imports, of which a crash shows nothing.
"""

import json
import os
import sys
import time
import traceback

import django

django.setup()

from marketdata.models import Instrument  # noqa: E402
from mockmarket.core import clock, failpoints  # noqa: E402
from tests.trading.floor import Floor  # noqa: E402


def engine(key: str, price: float, failpoint: str, *, told: int) -> None:
    """The engine's whole life; writes to `told` when it is ready."""
    failpoints.arm(failpoint)
    began = time.monotonic()
    instrument = Instrument.objects.get(key=key)
    floor = Floor(now=clock.now())
    os.write(told, f"{time.monotonic() - began:.2f}".encode())
    floor.tick(instrument, price, asks=[(price, 1_000)], previous_close=100.0)


def fork(key: str, price: float, failpoint: str) -> dict[str, float]:
    """An engine from birth to its end."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        os.dup2(2, 1)  # what it logs is not an answer
        try:
            engine(key, price, failpoint, told=writing)
            code = 0
        except BaseException:  # noqa: BLE001 (a forked process must not go on with its parent's work)
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        seconds = pipe.read()
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "seconds": float(seconds or "nan")}


if __name__ == "__main__":
    for line in sys.stdin:
        key, price, failpoint = line.rstrip("\n").split("\t")
        print(json.dumps(fork(key, float(price), failpoint.strip("-"))), flush=True)  # noqa: T201
