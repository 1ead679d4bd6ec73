"""A position is a fold of its fills: average cost, shorts, flips, realised profit and loss.

Pure. A `Book` is one portfolio's position in one instrument and one product. `apply` folds one
fill into it and says what the ledger has to post. Cost is signed like the quantity (a short has
a negative cost), so at any moment the unrealised profit and loss is `quantity * last - cost`.
When a position becomes flat its whole remaining cost and margin leave with the last fill: no
paisa of rounding residue stays behind.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from mockmarket.core.money import ZERO, money, notional


@dataclass(frozen=True, slots=True)
class FillFact:
    """One fill as positions see it. `quantity` is positive; `buy` gives the direction.

    `margin_rate` is the part of the notional that an opening fill must put down (1 = paid in
    full); for futures and written options `margin_unit` says it in rupees a unit instead, net of
    the premium received, so a hedged one may be negative. `charges` in rupees.
    """

    buy: bool
    quantity: int
    price: Decimal
    charges: Decimal
    margin_rate: Decimal = Decimal(1)
    margin_unit: Decimal | None = None

    @property
    def signed_quantity(self) -> int:
        return self.quantity if self.buy else -self.quantity

    @property
    def notional(self) -> Decimal:
        return notional(price=self.price, quantity=self.quantity)


@dataclass(frozen=True, slots=True)
class Book:
    """An open (or flat) position. Rupees, except the signed quantity."""

    quantity: int = 0
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    realised_pnl: Decimal = ZERO
    charges: Decimal = ZERO

    @property
    def average_price(self) -> Decimal:
        """Cost of one unit, unrounded; zero when flat."""
        return self.cost / self.quantity if self.quantity else ZERO


@dataclass(frozen=True, slots=True)
class Effect:
    """What one fill does to the books, in rupees; the changes sum to zero in the ledger.

    `cost` is the change of the position's cost (SECURITIES), `margin` the change of what is put
    down for it, `realised` the profit (positive) or loss, `charges` what the fill cost. Cash
    moves by `-margin + realised - charges`, and the broker's side (MARGIN) by `margin - cost`.
    """

    cost: Decimal
    margin: Decimal
    realised: Decimal
    charges: Decimal

    @property
    def cash(self) -> Decimal:
        return self.realised - self.margin - self.charges

    @property
    def broker(self) -> Decimal:
        return self.margin - self.cost


def apply(book: Book, fill: FillFact) -> tuple[Book, Effect]:
    """The position after `fill`, and the fill's effect on the ledger.

    A fill against the position closes first, at average cost; what is left over opens the other
    side (a flip). Margin is released in proportion to what closes.
    """
    assert fill.quantity > 0, f"fill quantity was {fill.quantity}"
    opposite = book.quantity and (book.quantity > 0) != fill.buy
    closing = min(fill.quantity, abs(book.quantity)) if opposite else 0
    opening = fill.quantity - closing

    cost_closed, margin_closed = _share(book, closing)
    value_closed = money(fill.price * closing)
    if not fill.buy:  # a sale closes a long: profit is what it brought less what it had cost
        realised = value_closed - cost_closed if closing else ZERO
    else:  # a purchase closes a short: the cost closed is negative, what the short had brought
        realised = -cost_closed - value_closed if closing else ZERO

    # The closing and opening parts must add up to the fill's notional to the paisa.
    value_opened = fill.notional - value_closed
    cost_opened = value_opened if fill.buy else -value_opened
    if fill.margin_unit is None:
        margin_opened = money(value_opened * fill.margin_rate)
    else:
        margin_opened = money(fill.margin_unit * opening)
    after = Book(
        quantity=book.quantity + fill.signed_quantity,
        cost=book.cost - cost_closed + (cost_opened if opening else ZERO),
        margin=book.margin - margin_closed + (margin_opened if opening else ZERO),
        realised_pnl=book.realised_pnl + realised,
        charges=book.charges + fill.charges,
    )
    effect = Effect(
        cost=after.cost - book.cost,
        margin=after.margin - book.margin,
        realised=realised,
        charges=fill.charges,
    )
    return after, effect


@dataclass(frozen=True, slots=True)
class Change:
    """What something other than a fill does to a position: mark-to-market, margin reckoned anew,
    expiry, a corporate action. Differences, in units and rupees."""

    quantity: int = 0
    cost: Decimal = ZERO
    margin: Decimal = ZERO
    realised: Decimal = ZERO
    charges: Decimal = ZERO

    @property
    def effect(self) -> Effect:
        """What the ledger has to post."""
        return Effect(
            cost=self.cost, margin=self.margin, realised=self.realised, charges=self.charges
        )


def change(book: Book, by: Change) -> Book:
    """The position after a change."""
    return Book(
        quantity=book.quantity + by.quantity,
        cost=book.cost + by.cost,
        margin=book.margin + by.margin,
        realised_pnl=book.realised_pnl + by.realised,
        charges=book.charges + by.charges,
    )


def fold(history: Iterable[FillFact | Change], *, start: Book | None = None) -> Book:
    """The position that fills and changes, oldest first, lead to."""
    book = start or Book()
    for event in history:
        book = change(book, event) if isinstance(event, Change) else apply(book, event)[0]
    return book


@dataclass(frozen=True, slots=True)
class Lot:
    """A part of a position, from the fill that opened it to the one that closed it (FIFO).

    `quantity` is signed: a short lot is negative. Open lots have no close.
    """

    quantity: int
    opened_at: datetime
    open_price: Decimal
    closed_at: datetime | None = None
    close_price: Decimal | None = None

    @property
    def pnl(self) -> Decimal:
        """Realised profit and loss before charges, in rupees; zero while open."""
        if self.close_price is None:
            return ZERO
        return money((self.close_price - self.open_price) * self.quantity)


@dataclass(frozen=True, slots=True)
class DatedFill:
    """A fill with its time, for lots."""

    buy: bool
    quantity: int
    price: Decimal
    filled_at: datetime


@dataclass(frozen=True, slots=True)
class DatedChange:
    """Units that came or went without a fill (a split, a bonus), for lots."""

    quantity: int
    changed_at: datetime


def fifo_lots(history: Iterable[DatedFill | DatedChange]) -> tuple[list[Lot], list[Lot]]:
    """Closed and open lots of one position, first in, first out; its history oldest first."""
    open_lots: deque[Lot] = deque()
    closed: list[Lot] = []
    for fill in history:
        if isinstance(fill, DatedChange):
            open_lots = _rescaled(open_lots, fill)
            continue
        left = fill.quantity
        while left and open_lots and (open_lots[0].quantity > 0) != fill.buy:
            lot = open_lots.popleft()
            taken = min(left, abs(lot.quantity))
            sign = 1 if lot.quantity > 0 else -1
            closed.append(
                replace(
                    lot,
                    quantity=sign * taken,
                    closed_at=fill.filled_at,
                    close_price=fill.price,
                )
            )
            if abs(lot.quantity) > taken:
                open_lots.appendleft(replace(lot, quantity=lot.quantity - sign * taken))
            left -= taken
        if left:
            signed = left if fill.buy else -left
            open_lots.append(Lot(signed, fill.filled_at, fill.price))
    return closed, list(open_lots)


def _rescaled(lots: Iterable[Lot], by: DatedChange) -> deque[Lot]:
    """Lots after units came or went: each in proportion at unchanged cost, and no unit lost.

    Units that came to a position that was flat cost nothing.
    """
    before = list(lots)
    total = sum(lot.quantity for lot in before)
    if not total:
        return deque([Lot(by.quantity, by.changed_at, ZERO)] if by.quantity else [])
    after: deque[Lot] = deque()
    seen = given = 0
    for lot in before:
        seen += lot.quantity
        units = int(Decimal(seen) * (total + by.quantity) / total) - given
        given += units
        if units:
            price = lot.open_price * lot.quantity / units
            after.append(replace(lot, quantity=units, open_price=price))
    return after


def _share(book: Book, closing: int) -> tuple[Decimal, Decimal]:
    """Cost and margin that `closing` units of the position carry; all of both when it is flat."""
    if not closing:
        return ZERO, ZERO
    if closing == abs(book.quantity):
        return book.cost, book.margin
    part = Decimal(closing) / abs(book.quantity)
    return money(book.cost * part), money(book.margin * part)
