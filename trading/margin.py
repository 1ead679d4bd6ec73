"""How much cash an order must put down. Pure.

Delivery is paid in full. Intraday puts down a part by the instrument's leverage tier, never less
than the contest's leverage allows. Only what opens or adds to a position needs margin: closing
frees it.
"""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from mockmarket.core.money import PAISA, ZERO
from trading import charges

# Leverage of intraday trading, by what the exchange's own margin on such shares is.
LEVERAGE_FNO_SHARE = Decimal(5)
LEVERAGE_INDEX_SHARE = Decimal(3)
LEVERAGE_OTHER = Decimal(1)

_RATE_STEP = Decimal("0.0001")


def rate(*, product: str, fno_share: bool, index_share: bool, leverage_max: Decimal) -> Decimal:
    """The part of an order's value to put down (0 to 1, four places, rounded up)."""
    if product != "MIS":
        return Decimal(1)
    tier = LEVERAGE_OTHER
    if fno_share:
        tier = LEVERAGE_FNO_SHARE
    elif index_share:
        tier = LEVERAGE_INDEX_SHARE
    leverage = max(Decimal(1), min(tier, leverage_max))
    return (1 / leverage).quantize(_RATE_STEP, rounding=ROUND_CEILING)


def opening_quantity(*, buy: bool, quantity: int, position: int, same_side_open: int) -> int:
    """How much of an order of `quantity` would open or add to a position.

    `position` is signed; `same_side_open` is the unfilled quantity of the live orders on the
    order's side, which come first in closing it.
    """
    against = max(0, -position if buy else position)
    closable = max(0, against - same_side_open)
    return max(0, quantity - closable)


@dataclass(frozen=True, slots=True)
class Need:
    """Cash that an order holds back: margin and charges, in rupees.

    `unit` is what its opening fills put down a unit where that is no part of the price: futures
    and written options.
    """

    margin: Decimal
    charges: Decimal
    unit: Decimal | None = None

    @property
    def total(self) -> Decimal:
        return self.margin + self.charges


def need(
    *,
    buy: bool,
    price: Decimal,
    quantity: int,
    opening: int,
    margin_rate: Decimal,
    schedule: charges.Schedule,
    margin_unit: Decimal | None = None,
    turnover: Decimal = ZERO,
    depository: bool = False,
) -> Need:
    """What the unfilled `quantity` may still cost at worst, at `price`.

    `turnover` is what the order has filled already. A sale pays its charges out of what it
    brings, so it holds nothing back unless it opens a short.
    """
    if not opening:
        return Need(ZERO, ZERO)
    unit = price * margin_rate if margin_unit is None else max(ZERO, margin_unit)
    margin = (unit * opening).quantize(PAISA, rounding=ROUND_CEILING)
    cost = charges.of_fill(
        schedule,
        buy=buy,
        turnover_before=turnover,
        turnover_after=turnover + price * quantity,
        depository=depository,
    )
    return Need(margin, cost.total, margin_unit)
