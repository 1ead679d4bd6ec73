"""What rings at the engine: others' wishes to be looked at, and prices that were fetched over REST.

Bells of one kind ring together: whoever answers reads the database, and finds all that is new.
"""

import asyncio
from collections import deque
from typing import Any, Final, get_args

import msgspec

from marketdata.quotes import Tick
from mockmarket.core import bus

# Messages of fetched prices that wait for the loop; the fetcher's next turn brings what is lost.
FETCHED_MAX: Final = 64

_ticks = msgspec.msgpack.Decoder(list[Tick])


class Doorbells:
    """Hears the engine's group of the bus; `answer` waits until something rang."""

    def __init__(self) -> None:
        self._rung: set[str] = set()
        self._fetched: deque[list[Tick]] = deque(maxlen=FETCHED_MAX)
        self._called = asyncio.Event()

    def hear(self, message: dict[str, Any] | None) -> None:
        """One message; None when some before it may be lost, so that every bell rings.

        Raises msgspec.DecodeError for prices that are none; nothing of them is kept.
        """
        if message is None:
            self._rung.update(get_args(bus.Wake))
        elif message["type"] == "rest.quotes":
            self._fetched.append(_ticks.decode(message["payload"]))
        elif message["type"] == "wake":
            self._rung.add(message["what"])
        self._called.set()

    async def answer(self) -> tuple[list[list[Tick]], list[str]]:
        """What came since the last call: fetched prices by message, and which bells rang."""
        await self._called.wait()
        self._called.clear()
        fetched, rung = list(self._fetched), sorted(self._rung)
        self._fetched.clear()
        self._rung.clear()
        return fetched, rung
