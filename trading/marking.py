"""What daily settlement, expiry and a new reckoning of margin do to a position. Pure.

Each gives the `Change` that the ledger posts and the position takes; equity moves by the charges
alone, since what becomes cash was in the position's value before.
"""

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Decimal

from mockmarket.core.money import PAISA, ZERO, money
from portfolios.positions import Book, Change


def mark_to_market(book: Book, *, price: Decimal) -> Change:
    """A future's day ends: its profit or loss since the last mark is paid in cash, and it goes on
    at the settlement price."""
    gained = money(price * book.quantity) - book.cost
    return Change(cost=gained, realised=gained)


def expire(book: Book, *, value: Decimal, charges: Decimal) -> Change:
    """A contract ends worth `value` rupees a unit (nothing, for an option out of the money): it is
    settled in cash, and its margin comes back."""
    return Change(
        quantity=-book.quantity,
        cost=-book.cost,
        margin=-book.margin,
        realised=money(value * book.quantity) - book.cost,
        charges=charges,
    )


def intrinsic(*, kind: str, strike: Decimal, spot: Decimal) -> Decimal:
    """What one unit of an option is worth when it expires with the underlying at `spot`."""
    return max(Decimal(0), spot - strike if kind == "CE" else strike - spot)


def final_value(*, kind: str, strike: Decimal | None, spot: Decimal) -> Decimal:
    """What one unit of a contract settles at: the spot for a future, the intrinsic value else."""
    if kind == "FUT":
        return spot
    assert strike is not None, "an option has a strike"
    return intrinsic(kind=kind, strike=strike, spot=spot)


def allot(total: Decimal, *, weights: Sequence[int]) -> list[Decimal]:
    """`total` rupees in whole paise over positions by weight; the last takes the remainder."""
    whole = sum(weights)
    assert whole > 0, f"weights were {weights}"
    parts = [(total * w / whole).quantize(PAISA, rounding=ROUND_FLOOR) for w in weights]
    parts[-1] += total - sum(parts, ZERO)
    return parts
