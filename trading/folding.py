"""The history of a position: fills and changes in the order of the ledger, and their sum."""

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum

from portfolios import positions
from portfolios.models import Portfolio, Position
from trading.models import Fill, PositionChange


@dataclass(frozen=True, slots=True)
class Event:
    """A fill or a change of a position, as positions see it, with its place in the ledger."""

    place: tuple[int, int, int]
    fact: positions.FillFact | positions.Change
    change: PositionChange | None = None


def history(*, position: Position) -> list[Event]:
    """Everything that made a position, oldest first.

    A change that shares its number with a fill comes after it.
    """
    fills = Fill.objects.filter(
        order__portfolio_id=position.portfolio_id,
        order__instrument_id=position.instrument_id,
        order__product=position.product,
    ).select_related("order")
    events = [
        Event((fill.ledger_seq, 0, number), fact_of_fill(fill))
        for number, fill in enumerate(fills.order_by("ledger_seq", "filled_at", "sequence"))
    ]
    events += [
        Event((row.ledger_seq, 1, row.pk), fact_of_change(row), row)
        for row in PositionChange.objects.filter(position=position).order_by("ledger_seq", "pk")
    ]
    return sorted(events, key=lambda event: event.place)


def fact_of_fill(fill: Fill) -> positions.FillFact:
    """A fill as positions see it."""
    return positions.FillFact(
        buy=fill.order.buy,
        quantity=fill.quantity,
        price=fill.price,
        charges=fill.charges,
        margin_rate=fill.order.margin_rate,
        margin_unit=fill.order.margin_unit,
    )


def fact_of_change(row: PositionChange) -> positions.Change:
    """A change as positions see it."""
    return positions.Change(
        quantity=row.quantity,
        cost=row.cost,
        margin=row.margin,
        realised=row.realised,
        charges=row.charges,
    )


def folded(*, position: Position) -> positions.Book:
    """The position that its stored history leads to."""
    return positions.fold(event.fact for event in history(position=position))


def changed_in(*, portfolio: Portfolio, column: str) -> Decimal:
    """The sum of a rupee column over all changes of a portfolio's positions."""
    total: Decimal | None = PositionChange.objects.filter(position__portfolio=portfolio).aggregate(
        total=Sum(column)
    )["total"]
    return total or Decimal("0.00")
