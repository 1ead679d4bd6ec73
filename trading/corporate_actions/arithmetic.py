"""What a split, a bonus or a dividend does to quantities, costs and prices. Pure.

A holder on the morning of the ex-date is entitled. Units multiply by the action's factor, prices
divide by it, cost stays; a fraction of a unit is sold at the adjusted price.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from mockmarket.core.money import ZERO, money
from mockmarket.core.money import price as exact_price
from portfolios.positions import Book, Change
from trading.bands import to_tick

BONUS = "BONUS"
DIVIDEND = "DIVIDEND"


def factor_of(*, kind: str, numerator: int, denominator: int) -> Fraction:
    """Units after the action for each before: a split 5 for 1 is 5, a bonus 1 for 2 is 3/2."""
    ratio = Fraction(numerator, denominator)
    return 1 + ratio if kind == BONUS else ratio


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A position's change, and what the fraction of a unit brought in cash (a short pays)."""

    change: Change
    fraction: Fraction
    cash: Decimal


def adjust_position(
    book: Book, *, entitled: int, factor: Fraction, unit_price: Decimal, lot: int = 1
) -> Adjustment:
    """What `factor` does to a position of which `entitled` units (signed) were held in time.

    `unit_price` is the price of one unit after the action; what is beyond whole units, of whole
    lots, is paid in cash. Where units become fewer, who sold
    since what was no longer theirs keeps that sale: no more goes than is there.
    """
    if factor < 1:
        entitled = _nearer_zero(entitled, book.quantity)
    exact = book.quantity + entitled * (factor - 1)
    whole = int(exact / lot) * lot  # towards zero, for shorts too
    fraction = exact - whole
    if not fraction:
        return Adjustment(Change(quantity=whole - book.quantity), fraction, ZERO)
    part = _decimal(fraction / exact)
    cost = book.cost if not whole else money(book.cost * part)
    margin = book.margin if not whole else money(book.margin * part)
    value = money(_decimal(fraction) * unit_price)
    change = Change(
        quantity=whole - book.quantity, cost=-cost, margin=-margin, realised=value - cost
    )
    return Adjustment(change, fraction, change.effect.cash)


def adjust_price(
    price: Decimal | None, factor: Fraction, *, tick_size: Decimal, up: bool
) -> Decimal | None:
    """An order's price on the grid, moved to the owner's side: a buyer never bids more."""
    if price is None:
        return None
    exact = price * factor.denominator / factor.numerator
    return max(to_tick(exact, tick_size, up=up), tick_size or exact_price(exact))


def adjust_plain(price: Decimal, factor: Fraction) -> Decimal:
    """A price that need not lie on the grid: an alert's threshold, a last price."""
    return exact_price(price * factor.denominator / factor.numerator)


def _nearer_zero(wanted: int, there: int) -> int:
    if wanted >= 0:
        return max(0, min(wanted, there))
    return min(0, max(wanted, there))


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / value.denominator
