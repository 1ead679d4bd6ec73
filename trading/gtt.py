"""Good-till-triggered instructions, one-cancels-the-other pairs and brackets.

The engine watches the legs (trading/watching.py) and calls `fire`, which claims the instruction
under the portfolio's lock, so that a leg fires once whatever the engine repeats.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from marketdata.models import Instrument
from mockmarket.core import bus
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.models import User
from mockmarket.core.records import record
from portfolios import booking
from portfolios.models import Portfolio
from portfolios.selectors import access_portfolio
from trading import lifecycle, preparing, quoting, services
from trading.drafts import OrderDraft
from trading.gtt_drafts import GttDraft, InvalidLeg, Leg, check, leg_draft
from trading.models import Gtt, Order

__all__ = [
    "ACTIVE_MAX",
    "LIFETIME",
    "LIVE",
    "GttDraft",
    "InvalidLeg",
    "Leg",
    "NoGtt",
    "TooManyGtts",
    "Watched",
    "access_gtt",
    "cancel_gtt",
    "changed",
    "end",
    "end_intraday",
    "expire",
    "fire",
    "follow_entries",
    "gtts",
    "place_bracket",
    "place_gtt",
    "watched",
]

ACTIVE_MAX: Final = 100
LIFETIME: Final = timedelta(days=365)
LIVE: Final = (Gtt.Status.PENDING, Gtt.Status.ACTIVE)


class NoGtt(NotFound):
    """There is no such instruction, or it is somebody else's."""

    code = "unknown_gtt"


class TooManyGtts(DomainError):
    code = "too_many_gtts"
    status = 409


@dataclass(frozen=True, slots=True)
class Watched:
    """An active instruction as the engine watches it."""

    id: uuid.UUID
    instrument_key: str
    market_name: str
    lower: Decimal | None
    upper: Decimal | None


def place_gtt(
    *,
    user: User,
    contest: str | int | None,
    draft: GttDraft,
    at: datetime,
    gtt_id: uuid.UUID | None = None,
) -> Gtt:
    """Watch for one leg, or for two of which one cancels the other.

    The same `gtt_id` again returns the first instruction; None gets a generated one.
    Raises InvalidLeg, TooManyGtts and the refusals of an order's shape and terms.
    """
    portfolio = access_portfolio(user=user, contest=contest)
    if gtt_id and (first := gtts(portfolio=portfolio).filter(pk=gtt_id).first()):
        return first
    instrument = check(draft, at=at)
    with transaction.atomic(durable=True):
        locked = booking.lock_portfolio(portfolio_id=portfolio.pk)
        active = Gtt.Status.ACTIVE
        gtt = _create(locked, instrument, draft, status=active, entry=None, at=at, gtt_id=gtt_id)
        bus.wake_engine("orders")
    return gtt


def place_bracket(
    *,
    user: User,
    contest: str | int | None,
    entry: OrderDraft,
    stop: Leg,
    target: Leg,
    at: datetime,
) -> tuple[Order, Gtt]:
    """An entry order, and a target and a stop that take over what has filled of it.

    The legs watch from the entry's first fill; when one fires, the entry's rest is cancelled and
    the filled quantity is closed. The same `client_order_id` again returns the first bracket.
    Raises the refusals of place_order and place_gtt.
    """
    portfolio = access_portfolio(user=user, contest=contest)
    if first := services.placed_before(portfolio, entry):
        return first, _bracket_of(first)
    lower, upper = (stop, target) if entry.buy else (target, stop)
    if lower.trigger >= upper.trigger:
        message = "The target must lie on the winning side of the stop."
        raise InvalidLeg(message, fields={"target": message})
    prepared = preparing.prepare(portfolio=portfolio, draft=entry, at=at)
    draft = GttDraft(
        instrument_key=entry.instrument_key,
        side="SELL" if entry.buy else "BUY",
        quantity=entry.quantity,
        product=entry.product,
        lower=lower,
        upper=upper,
    )
    check(draft, at=at)
    with transaction.atomic(durable=True):
        locked = booking.lock_portfolio(portfolio_id=portfolio.pk)
        order = services.place_locked(portfolio=locked, prepared=prepared, at=at)
        pending = Gtt.Status.PENDING
        gtt = _create(locked, order.instrument, draft, status=pending, entry=order, at=at)
    return order, gtt


def cancel_gtt(*, user: User, gtt_id: uuid.UUID | str, at: datetime) -> Gtt:
    """Stop watching. Raises NoGtt, and OrderNotLive when it has fired or ended."""
    found = access_gtt(user=user, gtt_id=gtt_id)
    with transaction.atomic(durable=True):
        gtt = _lock(found.pk, found.portfolio_id)
        if gtt.status not in LIVE:
            raise services.OrderNotLive(f"It is {gtt.get_status_display().lower()} already.")
        _end(gtt, Gtt.Status.CANCELLED, record("by_owner"), at=at)
    return gtt


def access_gtt(*, user: User, gtt_id: uuid.UUID | str) -> Gtt:
    """One of the user's own instructions. Raises NoGtt."""
    found = Gtt.objects.select_related("instrument", "portfolio__contest", "order")
    try:
        return found.get(pk=uuid.UUID(str(gtt_id)), portfolio__user=user)
    except (ValueError, Gtt.DoesNotExist):
        raise NoGtt("There is no such instruction.") from None


def gtts(*, portfolio: Portfolio) -> QuerySet[Gtt]:
    """A portfolio's instructions, newest first."""
    found = Gtt.objects.filter(portfolio=portfolio).select_related(
        "instrument", "portfolio__contest", "order", "entry"
    )
    return found.order_by("-created_at", "-pk")


def watched() -> list[Watched]:
    """Every active instruction of running contests."""
    rows = Gtt.objects.filter(
        status=Gtt.Status.ACTIVE,
        portfolio__left_at__isnull=True,
        portfolio__contest__state="RUNNING",
    ).select_related("instrument")
    return [
        Watched(
            row.pk,
            row.instrument.key,
            quoting.market_name(row.instrument),
            row.lower_trigger,
            row.upper_trigger,
        )
        for row in rows
    ]


def changed(*, since: datetime) -> bool:
    """Whether any instruction changed since then."""
    return Gtt.objects.filter(updated_at__gte=since).exists()


def fire(*, gtt_id: uuid.UUID, leg: str, at: datetime) -> Order | None:
    """The last price reached a leg: place its order. None when it had fired or ended before.

    A refusal (cash, holdings, a rule) ends the instruction with its reason.
    """
    found = Gtt.objects.select_related("instrument", "portfolio__contest").get(pk=gtt_id)
    draft = _order_draft(found, leg)
    try:
        prepared = preparing.prepare(portfolio=found.portfolio, draft=draft, at=at, system=True)
        with transaction.atomic():
            gtt = _lock(gtt_id, found.portfolio_id)
            if gtt.status != Gtt.Status.ACTIVE:
                return None
            _release_entry(gtt, at=at)
            order = services.place_locked(portfolio=gtt.portfolio, prepared=prepared, at=at)
            gtt.order, gtt.fired_leg = order, leg
            _end(gtt, Gtt.Status.TRIGGERED, "", at=at)
    except DomainError as refusal:
        with transaction.atomic():
            gtt = _lock(gtt_id, found.portfolio_id)
            if gtt.status == Gtt.Status.ACTIVE:
                gtt.fired_leg = leg
                _end(gtt, Gtt.Status.REJECTED, f"{refusal.code}: {refusal.message}", at=at)
        return None
    return order


def follow_entries(*, at: datetime, entries: Collection[uuid.UUID] | None = None) -> int:
    """Brackets follow their entries: watch what has filled, or end with an entry that never did.

    Returns how many changed. `entries` None looks at all.
    """
    found = Gtt.objects.filter(entry__isnull=False, status__in=LIVE).select_related("entry")
    if entries is not None:
        found = found.filter(entry_id__in=entries)
    count = 0
    for seen in found:
        if not _follows(seen):
            continue
        with transaction.atomic():
            gtt = _lock(seen.pk, seen.portfolio_id)
            change = _follows(gtt)
            if change is None:
                continue
            gtt.status, quantity = change
            gtt.quantity = quantity or gtt.quantity
            gtt.updated_at = at
            gtt.save(update_fields=["status", "quantity", "updated_at"])
            count += 1
    if count:
        bus.wake_engine("orders")
    return count


def expire(*, at: datetime) -> int:
    """End instructions older than a year; how many."""
    due = Gtt.objects.filter(status__in=LIVE, expires_at__lte=at)
    return due.update(status=Gtt.Status.EXPIRED, updated_at=at)


def end_intraday(*, gtt_id: uuid.UUID, portfolio_id: int, at: datetime) -> None:
    """The day's square-off takes over from an intraday instruction."""
    end(gtt_id=gtt_id, portfolio_id=portfolio_id, reason=record("intraday_over"), at=at)


def end(*, gtt_id: uuid.UUID, portfolio_id: int, reason: str, at: datetime) -> None:
    """End an instruction that still watches, for a reason of the system's."""
    gtt = _lock(gtt_id, portfolio_id)
    if gtt.status in LIVE:
        _end(gtt, Gtt.Status.CANCELLED, reason, at=at)


def _follows(gtt: Gtt) -> tuple[Gtt.Status, int] | None:
    """The status and quantity that a bracket's entry asks of it; None when they stand."""
    entry = gtt.entry
    assert entry is not None, "only brackets follow"
    if entry.filled_quantity:
        wanted = (Gtt.Status.ACTIVE, entry.filled_quantity)
    elif entry.status in lifecycle.ENDED:
        wanted = (Gtt.Status.CANCELLED, gtt.quantity)
    else:
        return None
    return None if wanted == (gtt.status, gtt.quantity) else wanted


def _bracket_of(entry: Order) -> Gtt:
    found = Gtt.objects.select_related("instrument", "portfolio__contest").filter(entry=entry)
    if not found:
        raise InvalidLeg("An order without a bracket has this client_order_id.")
    return found[0]


def _order_draft(gtt: Gtt, name: str) -> OrderDraft:
    price = gtt.lower_price if name == Gtt.Leg.LOWER else gtt.upper_price
    trigger = gtt.lower_trigger if name == Gtt.Leg.LOWER else gtt.upper_trigger
    return leg_draft(
        gtt.instrument.key,
        gtt.side,
        gtt.quantity,
        gtt.product,
        Leg(trigger=trigger, price=price),
        client_order_id=f"gtt-{gtt.pk}",
    )


def _create(
    portfolio: Portfolio,
    instrument: Instrument,
    draft: GttDraft,
    *,
    status: Gtt.Status,
    entry: Order | None,
    at: datetime,
    gtt_id: uuid.UUID | None = None,
) -> Gtt:
    preparing.check_contest(portfolio.contest, at=at)
    if Gtt.objects.filter(portfolio=portfolio, status__in=LIVE).count() >= ACTIVE_MAX:
        raise TooManyGtts(f"At most {ACTIVE_MAX} instructions may watch at a time.")
    return Gtt.objects.create(
        pk=gtt_id or uuid.uuid4(),
        portfolio=portfolio,
        instrument=instrument,
        side=draft.side,
        product=draft.product,
        quantity=draft.quantity,
        lower_trigger=draft.lower.trigger if draft.lower else None,
        lower_price=draft.lower.price if draft.lower else None,
        upper_trigger=draft.upper.trigger if draft.upper else None,
        upper_price=draft.upper.price if draft.upper else None,
        status=status,
        entry=entry,
        created_at=at,
        updated_at=at,
        expires_at=at + LIFETIME,
    )


def _lock(gtt_id: uuid.UUID, portfolio_id: int) -> Gtt:
    portfolio = booking.lock_portfolio(portfolio_id=portfolio_id)
    gtt = (
        Gtt.objects.select_for_update(of=("self",))
        .select_related("instrument", "entry")
        .get(pk=gtt_id)
    )
    gtt.portfolio = portfolio
    return gtt


def _release_entry(gtt: Gtt, *, at: datetime) -> None:
    """What has not filled of a bracket's entry is cancelled when a leg fires."""
    if gtt.entry is None or gtt.entry.status not in lifecycle.LIVE:
        return
    order = services.lock_order(order=gtt.entry)
    order.portfolio = gtt.portfolio
    services.end_order(
        order=order,
        event=lifecycle.Event.CANCEL,
        reason=record("bracket_fired"),
        at=at,
    )


def _end(gtt: Gtt, status: Gtt.Status, reason: str, *, at: datetime) -> None:
    gtt.status = status
    gtt.status_reason = reason[:200]
    gtt.updated_at = at
    gtt.save()
    bus.wake_engine("orders")
