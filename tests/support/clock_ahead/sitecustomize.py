"""Sets the clock of every Python process that has this folder on PYTHONPATH ahead, by
CLOCK_AHEAD_SECONDS: a whole product lives through a day that is not today. It keeps ticking;
`time.monotonic` stays. (Not Valkey's clock: what is kept there has lifetimes, no dates.)

With CLOCK_AHEAD_FILE the seconds stand in that file, and the clock is set whenever they change.
"""

import os
import threading
import time
from pathlib import Path

import time_machine

POLL_SECONDS = 0.2


_file = os.environ.get("CLOCK_AHEAD_FILE")
_ahead = float(Path(_file).read_text() if _file else os.environ["CLOCK_AHEAD_SECONDS"])
_traveller = time_machine.travel(time.time() + _ahead, tick=True).start()


def _follow(file: Path) -> None:
    global _ahead
    while True:
        time.sleep(POLL_SECONDS)
        now = float(file.read_text())
        if now != _ahead:
            _traveller.shift(now - _ahead)
            _ahead = now


def _begin() -> None:
    assert _file
    threading.Thread(target=_follow, args=(Path(_file),), daemon=True).start()


if _file:
    _begin()
    os.register_at_fork(after_in_child=_begin)  # which has none of its parent's threads
