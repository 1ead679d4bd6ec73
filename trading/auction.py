"""The auctions: when they take which orders, and their one price. Pure.

The opening one (09:00 for cash shares) collects market and limit orders for eight minutes; what
the opening price lets trade trades at it, the rest goes on into continuous trading. The exchange
ends its collection at a random moment of the eighth minute; here it is the whole minute.

The closing one, from 15:15 (shares with F&O contracts, since 2026-08-03): five minutes without
orders while the reference price is reckoned, five with market and limit orders, five with limit
orders only, then matching. Limit orders that were not filled before take part, stops do not.
Everything that the closing price lets trade trades at that one price, market orders first;
nothing fills before. Students' orders are small beside the auction's volume, so they do not move
its price and are not scaled down: the exchange's own closing price is theirs.

A price outside the band in force (trading/bands.py) is none of an auction: nothing matches at it.
"""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from mockmarket.core.records import record
from trading.matching import Decision, Market, Match, Working


class Stage(StrEnum):
    """What the auction takes at a time."""

    NO_ORDERS = "NO_ORDERS"
    ALL_ORDERS = "ALL_ORDERS"
    LIMIT_ONLY = "LIMIT_ONLY"
    MATCHING = "MATCHING"


# The first minutes of the closing auction: the reference price is reckoned, nothing else happens.
NOBODY_ORDERS: Final = timedelta(minutes=5)
STAGES: Sequence[tuple[timedelta, Stage]] = (
    (NOBODY_ORDERS, Stage.NO_ORDERS),
    (timedelta(minutes=10), Stage.ALL_ORDERS),
    (timedelta(minutes=15), Stage.LIMIT_ONLY),
)


# Reasons of a fill at one price, as its rule path begins.
OPENING: Final = "opening"
CLOSING: Final = "auction"
SQUARE_OFF: Final = "square-off"

# How long the opening auction collects orders.
OPENING_COLLECTS = timedelta(minutes=8)


def opening_takes(*, since_start: timedelta, order_type: str) -> bool:
    """Whether the opening auction takes a new order of this type; stops never are."""
    return since_start < OPENING_COLLECTS and order_type in {"MARKET", "LIMIT"}


def stage(since_start: timedelta) -> Stage:
    """The stage so long after the auction began."""
    for end, name in STAGES:
        if since_start < end:
            return name
    return Stage.MATCHING


def takes(*, now: Stage, order_type: str) -> bool:
    """Whether a new order of this type is taken; stops never are."""
    if now is Stage.ALL_ORDERS:
        return order_type in {"MARKET", "LIMIT"}
    return now is Stage.LIMIT_ONLY and order_type == "LIMIT"


def close_out(*, order: Working, market: Market, reason: str) -> Decision:
    """Fill an order whole at the market's last price, its limit allowing and, in an auction, the
    band.

    For the auctions' matching (`OPENING`, `CLOSING`) and for a square-off after the close;
    `reason` begins the rule path.
    """
    price = market.last_price
    pending = order.trigger is not None and not order.triggered
    if price is None or pending or not order.open_quantity:
        return Decision()
    if reason in {OPENING, CLOSING} and not _within_band(price, market):
        return Decision()
    if not order.market and order.limit is not None:
        beyond = price > order.limit if order.buy else price < order.limit
        if beyond:
            return Decision()
    return Decision(
        matches=(Match(order.open_quantity, price),),
        path=(record("one_price", kind=reason, price=f"{price.normalize():f}"),),
    )


def _within_band(price: Decimal, market: Market) -> bool:
    if market.band_low is not None and price < market.band_low:
        return False
    return market.band_high is None or price <= market.band_high
