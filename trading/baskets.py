"""Baskets: up to twenty orders at once, with one preview of what they need together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from mockmarket.core.money import ZERO
from portfolios import booking
from portfolios.selectors import access_portfolio
from trading import preparing, services
from trading.drafts import OrderDraft
from trading.models import Order
from trading.previews import Preview, preview_order

ORDERS_MAX = 20


class InvalidBasket(DomainError):
    """No order, or more than a basket holds."""

    code = "invalid_basket"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why one order of a basket was, or would be, refused. `index` counts from 0."""

    index: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class BasketPreview:
    """Estimates of a basket's orders and what they would hold back together, in rupees.

    The orders are reckoned one after another against the same buying power, as placing them
    would; sales do not pay for purchases before they fill.
    """

    orders: tuple[Preview | None, ...]
    refusals: tuple[Refusal, ...]
    required: Decimal
    charges: Decimal
    buying_power: Decimal
    enough: bool


@dataclass(frozen=True, slots=True)
class BasketResult:
    """What became of each order: the orders accepted, and the refusals of the others."""

    orders: tuple[Order, ...]
    refusals: tuple[Refusal, ...]


def check_size(drafts: Sequence[OrderDraft]) -> None:
    """Raises InvalidBasket."""
    if not 1 <= len(drafts) <= ORDERS_MAX:
        message = f"A basket holds 1 to {ORDERS_MAX} orders; this one holds {len(drafts)}."
        raise InvalidBasket(message, fields={"orders": message})


def preview_basket(
    *, user: User, contest: str | int | None, drafts: Sequence[OrderDraft], at: datetime
) -> BasketPreview:
    """One estimate for all orders. Raises InvalidBasket and NoPortfolio."""
    check_size(drafts)
    portfolio = access_portfolio(user=user, contest=contest)
    orders: list[Preview | None] = []
    refusals: list[Refusal] = []
    for index, draft in enumerate(drafts):
        try:
            found = preview_order(user=user, contest=contest, draft=draft, at=at)
        except DomainError as error:
            orders.append(None)
            refusals.append(Refusal(index, error.code, error.message))
            continue
        orders.append(found)
        if found.refusal is not None:
            refusals.append(Refusal(index, *found.refusal))
    required = sum((found.required for found in orders if found), ZERO)
    return BasketPreview(
        orders=tuple(orders),
        refusals=tuple(refusals),
        required=required,
        charges=sum((found.charges for found in orders if found), ZERO),
        buying_power=portfolio.buying_power,
        enough=required <= portfolio.buying_power and not refusals,
    )


def place_basket(
    *, user: User, contest: str | int | None, drafts: Sequence[OrderDraft], at: datetime
) -> BasketResult:
    """Place the orders in their sequence under one lock; each stands or falls by itself.

    Orders whose `client_order_id` was used before are returned as they are.
    """
    check_size(drafts)
    portfolio = access_portfolio(user=user, contest=contest)
    accepted: list[Order] = []
    refusals: list[Refusal] = []
    prepared: list[tuple[int, preparing.Prepared]] = []
    for index, draft in enumerate(drafts):
        try:
            prepared.append((index, preparing.prepare(portfolio=portfolio, draft=draft, at=at)))
        except DomainError as error:
            refusals.append(Refusal(index, error.code, error.message))
    with transaction.atomic(durable=True):
        locked = booking.lock_portfolio(portfolio_id=portfolio.pk)
        for index, one in prepared:
            first = services.placed_before(locked, one.draft)
            if first is not None:
                accepted.append(first)
                continue
            try:
                accepted.append(services.place_locked(portfolio=locked, prepared=one, at=at))
            except DomainError as error:
                refusals.append(Refusal(index, error.code, error.message))
    return BasketResult(tuple(accepted), tuple(sorted(refusals, key=lambda one: one.index)))
