"""An independent, plain model of the matching rules, written for tests: floats-free integers.

Written from the rules in words (docs/students/fills.md), not from the matcher: prices in paise,
one loop over units where the matcher does sums.
"""

from dataclasses import dataclass, field


@dataclass
class Model:
    """One side's display, eaten as orders come."""

    asks: list[tuple[int, int]]
    bids: list[tuple[int, int]]
    last: int
    eaten: dict[tuple[str, int], int] = field(default_factory=dict)

    def left(self, side: str, price: int, shown: int) -> int:
        return shown - self.eaten.get((side, price), 0)

    def take(self, *, buy: bool, quantity: int, limit: int | None) -> list[tuple[int, int]]:
        """Unit by unit: each takes the best level that still shows anything."""
        side = "asks" if buy else "bids"
        got: dict[int, int] = {}
        for _ in range(quantity):
            for price, shown in getattr(self, side):
                if limit is not None and (price > limit if buy else price < limit):
                    continue
                if self.left(side, price, shown) > 0:
                    self.eaten[side, price] = self.eaten.get((side, price), 0) + 1
                    got[price] = got.get(price, 0) + 1
                    break
        return [(count, price) for price, count in got.items()]

    def rest(self, *, buy: bool, quantity: int, limit: int, share: int) -> list[tuple[int, int]]:
        """At the limit: what is displayed at it or better, then a share of trades through it."""
        filled = sum(count for count, _ in self.take(buy=buy, quantity=quantity, limit=limit))
        through = self.last < limit if buy else self.last > limit
        if through:
            filled += min(quantity - filled, share)
        return [(filled, limit)] if filled else []
