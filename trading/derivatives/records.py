"""Writing what changes a position without a fill: ledger entry, change, position, together."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from mockmarket.core.money import ZERO, money
from portfolios import booking, ledger, positions
from portfolios.models import LedgerEntry, Portfolio, Position
from trading.models import PositionChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """One event of a portfolio and what it does to its positions. `reference` makes it once."""

    kind: str
    reference: str
    description: str
    changes: Sequence[tuple[Position, positions.Change]]
    at: datetime
    inputs: Sequence[dict[str, Any]]
    price: Decimal | None = None


def written(*, portfolio: Portfolio, reference: str) -> bool:
    """Whether an event has been written before. Ask under the portfolio's lock."""
    return PositionChange.objects.filter(
        position__portfolio=portfolio, reference=reference
    ).exists()


def write(*, portfolio: Portfolio, settlement: Settlement) -> None:
    """Post one entry for all changes of a locked portfolio and move its positions."""
    booking.require_transaction()
    changes = [change for _, change in settlement.changes]
    effect = positions.Effect(
        cost=sum((c.cost for c in changes), ZERO),
        margin=sum((c.margin for c in changes), ZERO),
        realised=sum((c.realised for c in changes), ZERO),
        charges=sum((c.charges for c in changes), ZERO),
    )
    if effect.cost or effect.margin or effect.realised or effect.charges:
        funds, postings = ledger.fill(
            effect=effect, funds=booking.funds_of(portfolio), keep=portfolio.reserved
        )
        entry = booking.NewEntry(
            portfolio=portfolio,
            kind=LedgerEntry.Kind.SETTLEMENT,
            reference=settlement.reference,
            description=settlement.description,
            postings=postings,
            funds=funds,
            occurred_at=settlement.at,
        )
        booking.store_entries([booking.book_entry(entry)])
        booking.save_balances(portfolio)
    for (position, change), facts in zip(settlement.changes, settlement.inputs, strict=True):
        PositionChange.objects.create(
            position=position,
            kind=settlement.kind,
            reference=settlement.reference,
            ledger_seq=portfolio.entry_seq,
            price=settlement.price,
            quantity=change.quantity,
            cost=change.cost,
            margin=change.margin,
            realised=change.realised,
            charges=change.charges,
            inputs=facts,
            occurred_at=settlement.at,
        )
        _move(position, change, at=settlement.at)


def count_in_day(
    position: Position, change: positions.Change, *, price: Decimal, session: date
) -> None:
    """Count a change of quantity among the session's trades, so that day profit includes it."""
    if position.session_date != session:
        position.session_date = session
        position.day_quantity = 0
        position.day_cost = ZERO
    position.day_quantity += change.quantity
    position.day_cost += money(price * change.quantity)


def _move(position: Position, change: positions.Change, *, at: datetime) -> None:
    booking.take_book(position, positions.change(booking.book_of(position), change))
    position.updated_at = at
    position.save()
