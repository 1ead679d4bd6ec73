"""Where the exchange's servers get what they send: the simulated market, or a recorded day."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Protocol

from marketdata.exchange.derivatives import Board
from marketdata.exchange.hours import Hours, Phases
from marketdata.exchange.listing import Listing
from marketdata.exchange.records import Bar, Record


class Source(Protocol):
    """A market that can be asked for what changed, for its state and for its past."""

    @property
    def listings(self) -> Mapping[str, Listing]: ...

    @property
    def hours(self) -> Hours: ...

    @property
    def patient(self) -> bool:
        """Whether the market waits for slow readers instead of cutting them off."""
        ...

    def due(
        self, *, now_ms: int, wanted: Collection[str], depth: int = 5
    ) -> list[Sequence[Record]]:
        """What ticked since the last call, in frames in order; only `wanted` keys.

        A key appears once in a frame.
        """
        ...

    def records(self, *, keys: Collection[str], now_ms: int, depth: int = 5) -> list[Record]:
        """The present state of each listed key, in the order asked."""
        ...

    def minute_bars(self, *, key: str, day: date, now_ms: int) -> list[Bar]:
        """One-minute bars of a session so far, oldest first; empty when there are none."""
        ...

    def day_bars(self, *, key: str, days: Sequence[date], now_ms: int) -> list[Bar]:
        """The bars of those of `days` (ascending) that have one, today's so far included."""
        ...

    def board(self, *, now_ms: int) -> Board | None:
        """Today's futures and options, None where there are none."""
        ...

    def phases(self, *, now_ms: int) -> Phases:
        """What the exchange says of itself at `now_ms`."""
        ...
