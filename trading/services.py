"""The only writers of orders, apart from the engine's settlement of fills.

Each use case validates what it can before it locks anything, then locks the portfolio row,
asks again what could have changed, and writes. The engine is woken after the commit.
"""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction

from mockmarket.core import bus, clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from mockmarket.core.money import ZERO
from mockmarket.core.records import record
from portfolios import booking, journal
from portfolios.models import Portfolio, Position
from portfolios.selectors import access_portfolio
from trading import drafts, events, facts, lifecycle, matching, preparing, quoting, risk, selectors
from trading.drafts import OrderDraft
from trading.matching import CONTINUOUS, Market
from trading.models import Order
from trading.preparing import ContestFrozen, ContestNotRunning, MarketClosed
from trading.previews import Preview, preview_order

__all__ = [
    "ContestFrozen",
    "ContestNotRunning",
    "MarketClosed",
    "OrderChanges",
    "OrderDraft",
    "OrderNotLive",
    "PlaceResult",
    "Preview",
    "cancel_order",
    "modify_order",
    "place_order",
    "preview_order",
]


# Client order ids of the system's own orders; users cannot choose them.
EXIT_PREFIX = "squareoff-"


class OrderNotLive(DomainError):
    """The order has ended; it can be neither changed nor cancelled."""

    code = "order_not_live"
    status = 409


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """The order, and whether this call created it (False: the same client_order_id came twice)."""

    order: Order
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChanges:
    """What to modify; None leaves a field as it is."""

    quantity: int | None = None
    order_type: str | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None


def place_order(
    *, user: User, contest: str | int | None, draft: OrderDraft, at: datetime
) -> PlaceResult:
    """Accept an order for a user's portfolio, reserve its cash, and wake the engine.

    The same `client_order_id` again returns the first order unchanged. Raises the refusals of
    trading.drafts, trading.risk and this module, portfolios.selectors.NoPortfolio, and
    marketdata.selectors.UnknownInstrument; a refused order leaves no trace.
    """
    portfolio = access_portfolio(user=user, contest=contest)
    first = placed_before(portfolio, draft)
    if first is not None:
        return PlaceResult(first, created=False)
    prepared = preparing.prepare(portfolio=portfolio, draft=draft, at=at)
    try:
        with transaction.atomic(durable=True):
            locked = booking.lock_portfolio(portfolio_id=portfolio.id)
            first = placed_before(locked, draft)
            if first is not None:
                return PlaceResult(first, created=False)
            order = place_locked(portfolio=locked, prepared=prepared, at=at)
    except IntegrityError:
        first = placed_before(portfolio, draft)
        if first is None:
            raise
        return PlaceResult(first, created=False)
    return PlaceResult(order, created=True)


def place_locked(*, portfolio: Portfolio, prepared: preparing.Prepared, at: datetime) -> Order:
    """Insert a prepared order of a locked portfolio, with its reservation and its event."""
    booking.require_transaction()
    preparing.check_contest(portfolio.contest, at=at)
    draft = prepared.draft
    needed = preparing.require_funds(portfolio=portfolio, prepared=prepared, at=at)
    status, reason = _first_status(prepared, now_ms=clock.to_ms(at))
    order = Order(
        portfolio=portfolio,
        instrument=prepared.instrument,
        side=draft.side,
        order_type=draft.order_type,
        product=draft.product,
        validity=draft.validity,
        quantity=draft.quantity,
        price=draft.price,
        trigger_price=draft.trigger_price,
        protection_price=_protection(draft, prepared.market),
        margin_rate=prepared.margin_rate,
        margin_unit=needed.unit,
        status=status,
        status_reason=reason,
        reserved=needed.total,
        client_order_id=draft.client_order_id or uuid.uuid4().hex,
        reason=draft.reason,
        placed_at=at,
        updated_at=at,
        session_date=selectors.session_date(
            market_name=quoting.market_name(prepared.instrument), at=at
        ),
    )
    order.save(force_insert=True)
    journal.of_order(
        portfolio=portfolio,
        instrument=prepared.instrument,
        order_id=order.id,
        reason=draft.reason,
        closing=not order.buy and order.product == Position.Product.CNC,
        at=at,
    )
    portfolio.reserved += needed.total
    booking.save_balances(portfolio)
    tell(order, at=at)
    return order


def place_exit(
    *, portfolio: Portfolio, position: Position, client_order_id: str, at: datetime
) -> Order:
    """Insert the system's order that squares off a position of a locked portfolio.

    It has no limit, asks no rule and holds nothing back: it only closes. The desk fills it while
    the market trades, and at the last price once it has closed.
    """
    booking.require_transaction()
    order = Order(
        portfolio=portfolio,
        instrument=position.instrument,
        side="SELL" if position.quantity > 0 else "BUY",
        order_type=Order.Type.MARKET,
        product=position.product,
        quantity=abs(position.quantity),
        status=lifecycle.Status.OPEN,
        status_reason=record("squared_off"),
        client_order_id=client_order_id,
        placed_at=at,
        updated_at=at,
        session_date=selectors.session_date(
            market_name=quoting.market_name(position.instrument), at=at
        ),
    )
    order.save(force_insert=True)
    tell(order, at=at)
    return order


def tell(order: Order, *, at: datetime) -> None:
    """Tell an order's owner what became of it, and wake the engine, once this commits."""
    bus.publish(
        user_id=order.portfolio.user_id,
        type=events.ORDER_UPDATE,
        payload=events.order_update(order),
        at=at,
    )
    bus.wake_engine("orders")


def cancel_order(*, user: User, order_id: uuid.UUID | str, at: datetime) -> Order:
    """Cancel what is unfilled of the user's order and free its reservation.

    When this returns, no further fill of the order can be committed. Raises NoOrder,
    OrderNotLive.
    """
    found = selectors.own_order(user=user, order_id=order_id)
    with transaction.atomic(durable=True):
        order = lock_order(order=found)
        end_order(order=order, event=lifecycle.Event.CANCEL, reason=record("by_owner"), at=at)
    return order


def lock_order(*, order: Order) -> Order:
    """The order with its portfolio, both locked in that sequence. Raises OrderNotLive."""
    portfolio = booking.lock_portfolio(portfolio_id=order.portfolio_id)
    locked = (
        Order.objects.select_for_update(of=("self",)).select_related("instrument").get(pk=order.pk)
    )
    locked.portfolio = portfolio
    if locked.status not in lifecycle.LIVE:
        raise OrderNotLive(f"This order is {locked.get_status_display().lower()} already.")
    return locked


def end_order(*, order: Order, event: lifecycle.Event, reason: str, at: datetime) -> None:
    """End a locked order: free its cash, store it, tell its owner, wake the engine."""
    booking.require_transaction()
    portfolio = order.portfolio
    order.status = lifecycle.advance(order.status, event)
    order.status_reason = reason[:200]
    portfolio.reserved -= order.reserved
    order.reserved = ZERO
    order.version += 1
    order.updated_at = at
    order.save(update_fields=["status", "status_reason", "reserved", "version", "updated_at"])
    booking.save_balances(portfolio)
    tell(order, at=at)


def modify_order(
    *, user: User, order_id: uuid.UUID | str, changes: OrderChanges, at: datetime
) -> Order:
    """Change quantity, type or prices of a live order and reserve anew.

    The quantity is the whole order's, what has filled included, and must exceed it. Raises
    NoOrder, OrderNotLive, and the refusals of place_order.
    """
    found = selectors.own_order(user=user, order_id=order_id)
    draft = _changed_draft(found, changes)
    prepared = preparing.prepare(portfolio=found.portfolio, draft=draft, at=at)
    with transaction.atomic(durable=True):
        order = lock_order(order=found)
        if draft.quantity <= order.filled_quantity:
            message = f"{order.filled_quantity} have filled already. Cancel the rest instead."
            raise drafts.InvalidQuantity(message, fields={"quantity": message})
        if order.triggered_at is not None and (changes.trigger_price or draft.stop != order.stop):
            raise drafts.InvalidOrder("This stop has been triggered; its trigger is spent.")
        needed = preparing.require_funds(
            portfolio=order.portfolio, prepared=prepared, at=at, replacing=order
        )
        order.portfolio.reserved += needed.total - order.reserved
        order.reserved = needed.total
        order.margin_unit = needed.unit
        order.quantity = draft.quantity
        order.order_type = draft.order_type
        order.price = draft.price
        order.trigger_price = draft.trigger_price
        order.protection_price = _protection(draft, prepared.market)
        order.status = lifecycle.advance(order.status, lifecycle.Event.MODIFY)
        order.status_reason = ""
        order.resting = False
        order.version += 1
        order.updated_at = at
        order.save()
        booking.save_balances(order.portfolio)
        tell(order, at=at)
    return order


def _changed_draft(order: Order, changes: OrderChanges) -> OrderDraft:
    """The order as it would be after the changes, to be checked like a new one."""
    draft = OrderDraft(
        instrument_key=order.instrument.key,
        side=order.side,
        quantity=order.quantity,
        order_type=order.order_type,
        product=order.product,
        validity=order.validity,
        price=order.price,
        trigger_price=order.trigger_price,
        reason=order.reason,
        after_market=order.status == lifecycle.Status.QUEUED,
    )
    order_type = changes.order_type or draft.order_type
    limited, stop = order_type in {"LIMIT", "SL"}, order_type in {"SL", "SL_M"}
    return replace(
        draft,
        quantity=draft.quantity if changes.quantity is None else changes.quantity,
        order_type=order_type,
        price=(changes.price or draft.price) if limited else changes.price,
        trigger_price=(changes.trigger_price or draft.trigger_price)
        if stop
        else changes.trigger_price,
    )


def placed_before(portfolio: Portfolio, draft: OrderDraft) -> Order | None:
    """The portfolio's order of the same client_order_id, if there is one."""
    if draft.client_order_id is None:
        return None
    return (
        Order.objects.filter(portfolio=portfolio, client_order_id=draft.client_order_id)
        .select_related("instrument", "portfolio__contest")
        .first()
    )


def _first_status(prepared: preparing.Prepared, *, now_ms: int) -> tuple[lifecycle.Status, str]:
    if prepared.queued:
        return lifecycle.Status.QUEUED, record("next_session")
    if prepared.draft.stop:
        return lifecycle.Status.TRIGGER_PENDING, ""
    if prepared.market.phase != CONTINUOUS:
        return lifecycle.Status.OPEN, record("auction_price")
    age_ms = now_ms - prepared.market.received_ms
    rules = facts.settings_of(prepared.rules)
    if not matching.is_fresh(prepared.market.received_ms, settings=rules, now_ms=now_ms):
        known = bool(prepared.market.received_ms)
        reason = record("stale_quote", seconds=abs(age_ms) // 1000) if known else record("no_quote")
        return lifecycle.Status.WAITING_FRESH_QUOTE, reason
    return lifecycle.Status.OPEN, ""


def _protection(draft: OrderDraft, market: Market) -> Decimal | None:
    """The worst price of an order by market; None for orders with a limit of their own."""
    if draft.limited:
        return None
    reference = draft.trigger_price or market.last_price
    assert reference is not None, "check_market refuses orders by market without a price"
    return risk.protection_price(buy=draft.buy, reference=reference, market=market)
