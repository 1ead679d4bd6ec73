"""The order of one user's durable events, however they arrive. Pure.

Several processes publish after their commits, so numbers overtake each other, and pub/sub may lose
some. `offer` gives out what is next, keeps what came early and drops what came twice.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Sequence(Generic[T]):
    """Numbers from 1; `last` is the newest given out, None until `start`."""

    __slots__ = ("_early", "last")

    def __init__(self) -> None:
        self.last: int | None = None
        self._early: dict[int, T] = {}

    def start(self, seq: int) -> list[tuple[int, T]]:
        """Everything up to `seq` is known to the reader; what waited and follows is given out."""
        if self.last is None or seq > self.last:
            self.last = seq
        self._early = {number: item for number, item in self._early.items() if number > self.last}
        return self._ready()

    def offer(self, seq: int, item: T) -> list[tuple[int, T]]:
        """Take one event; returns those that may be given out now, in order."""
        if self.last is not None and seq <= self.last:
            return []
        self._early[seq] = item
        return [] if self.last is None else self._ready()

    @property
    def gap(self) -> bool:
        """Whether something came early and its predecessor is missing."""
        return bool(self._early)

    def _ready(self) -> list[tuple[int, T]]:
        assert self.last is not None, "start comes first"
        ready = []
        while (item := self._early.pop(self.last + 1, None)) is not None:
            self.last += 1
            ready.append((self.last, item))
        return ready
