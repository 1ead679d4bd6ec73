"""Book what the engine decided: one database transaction a batch, the only writer of fills.

Order of locks: the fence, the portfolios by id, the orders by id, their positions, and last the
users' streams. Whatever changed since the decision (a cancel, a modification, a frozen contest,
another engine) is seen under the lock, and the decision is dropped; the desk then reads the
order again. A fill, its ledger entry, the position, the reservation and the events are written
together or not at all.
"""

import gc
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from mockmarket.core import failpoints
from mockmarket.core.money import ZERO
from portfolios.models import Contest
from trading import batch, filling, lifecycle
from trading.batch import Batch, Decided
from trading.lifecycle import Event, Status
from trading.matching import Decision
from trading.models import EngineFence, Order

__all__ = ["Decided", "Fenced", "Outcome", "settle", "take_fence"]


class Fenced(RuntimeError):
    """A newer engine has taken the fence; this one may write nothing more."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An order after its decision was booked, or refused under the lock (`dropped`)."""

    order_id: uuid.UUID
    dropped: bool
    live: bool
    filled: int


def take_fence(*, at: datetime) -> int:
    """Become the engine that may write fills; every earlier one is shut out from here on."""
    with transaction.atomic(durable=True):
        EngineFence.objects.get_or_create(id=1)
        fence = EngineFence.objects.select_for_update().get(id=1)
        fence.token += 1
        fence.taken_at = at
        fence.save()
    return fence.token


def settle(decisions: Sequence[Decided], *, fence: int) -> list[Outcome]:
    """Book a batch of decisions; their outcomes in the same order.

    Raises Fenced when a newer engine exists. Safe to repeat: what was booked is dropped.
    """
    failpoints.reach("settle.before_lock")
    with _uncollected(), transaction.atomic(durable=True):
        if EngineFence.objects.select_for_update().get(id=1).token != fence:
            raise Fenced(f"the fence has moved on from {fence}")
        state = batch.lock(decisions)
        failpoints.reach("settle.locked")
        outcomes = [_book(state, decided) for decided in decisions]
        failpoints.reach("settle.decided")
        # Before the bus registers its own: a crash between commit and publication.
        transaction.on_commit(partial(failpoints.reach, "settle.committed"))
        batch.write(state, at=decisions[-1].at)
    failpoints.reach("settle.published")
    return outcomes


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the cyclic garbage collector: it would walk the rows of a batch again and again
    while they are being made, a third of the time of a large one. They hold no cycles, and a
    batch is bounded."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _book(state: Batch, decided: Decided) -> Outcome:
    """Apply one decision to the locked rows, or drop it."""
    order = state.orders.get(decided.order_id)
    if (
        order is None
        or order.status not in lifecycle.LIVE
        or order.version != decided.version
        or order.filled_quantity != decided.filled_before
        or order.portfolio.contest.state != Contest.State.RUNNING
        or order.portfolio.left_at is not None
        or order.instrument.halted
    ):
        live = order is not None and order.status in lifecycle.LIVE
        filled = 0 if order is None else order.filled_quantity
        return Outcome(decided.order_id, dropped=True, live=live, filled=filled)
    state.changed_orders[order.pk] = order
    order.updated_at = decided.at
    decision = decided.decision
    if decision.triggered:
        order.status = lifecycle.advance(order.status, Event.TRIGGER)
        order.triggered_at = decided.at
    if decision.resting:
        order.resting = True
    for step, matched in enumerate(decision.matches):
        refusal = filling.fill_order(state, order, decided, matched, step)
        if refusal:
            _end(order, refusal)
            break
    _after(order, decision)
    return Outcome(
        decided.order_id,
        dropped=False,
        live=order.status in lifecycle.LIVE,
        filled=order.filled_quantity,
    )


def _after(order: Order, decision: Decision) -> None:
    """The status where no fill has set it: held, resumed, or cancelled for the rest."""
    if order.status not in lifecycle.LIVE:
        return
    if decision.waiting and order.status in {Status.OPEN, Status.PARTIALLY_FILLED}:
        order.status = lifecycle.advance(order.status, Event.HOLD)
        order.status_reason = decision.waiting
    elif not decision.waiting and order.status == Status.WAITING_FRESH_QUOTE:
        event = Event.RESUME_PARTIAL if order.filled_quantity else Event.RESUME
        order.status = lifecycle.advance(order.status, event)
        order.status_reason = ""
    if decision.cancel:
        _end(order, decision.cancel)


def _end(order: Order, reason: str) -> None:
    """Cancel the rest of a locked order, and free its cash."""
    event = Event.CANCEL if order.filled_quantity else Event.REJECT
    if reason.startswith("ioc"):
        event = Event.CANCEL
    order.status = lifecycle.advance(order.status, event)
    order.status_reason = reason[:200]
    order.portfolio.reserved -= order.reserved
    order.reserved = ZERO
