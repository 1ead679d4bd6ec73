"""What is left of the displayed liquidity after own fills. Pure.

One `Pool` an instrument for a student (or for a whole class, where the contest says that its
students compete for the same shares). A level that was eaten shows less until the exchange
displays another quantity at that price: then somebody has acted there, and the level is new.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from marketdata.quotes import Level


@dataclass(slots=True)
class Pool:
    """Consumption of one instrument's liquidity by those who share it."""

    # (of the ask side?, price) -> (displayed quantity when it was taken, taken since)
    taken: dict[tuple[bool, Decimal], tuple[int, int]] = field(default_factory=dict)
    tick: int = -1
    traded_left: int = 0

    def offers(self, *, asks: bool, shown: Sequence[Level]) -> tuple[Level, ...]:
        """The displayed levels of one side, less what was taken from them."""
        if not self.taken:
            return tuple(shown)
        prices = {level.price for level in shown}
        for key in [key for key in self.taken if key[0] == asks and key[1] not in prices]:
            del self.taken[key]  # the level is gone; whatever comes back there is new
        offers = []
        for level in shown:
            displayed, taken = self.taken.get((asks, level.price), (level.quantity, 0))
            if displayed != level.quantity:
                del self.taken[asks, level.price]
                taken = 0
            offers.append(Level(level.price, max(0, level.quantity - taken)))
        return tuple(offers)

    def take(self, *, asks: bool, shown: Sequence[Level], price: Decimal, quantity: int) -> None:
        """Note a fill of `quantity`: at `price` when walking, or at `price` or better."""
        left = quantity
        for level in shown:
            if not left or (level.price > price if asks else level.price < price):
                break
            displayed, taken = self.taken.get((asks, level.price), (level.quantity, 0))
            room = min(left, displayed - taken)
            if room > 0:
                self.taken[asks, level.price] = (displayed, taken + room)
                left -= room
        self.traded_left = max(0, self.traded_left - left)

    def see_trades(self, *, tick: int, share: int) -> int:
        """What resting orders may still take of the volume of tick number `tick`.

        `share` is the participation in that tick's volume. It is not carried over: the trades
        of an earlier tick went to whoever stood there then.
        """
        if tick != self.tick:
            self.tick = tick
            self.traded_left = share
        return self.traded_left
