"""The history of a position: fills and changes in the order of the ledger, and their sum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from portfolios import positions as books
from portfolios.models import Position
from trading.models import Fill, PositionChange

# Positions whose history is read by two statements.
TOGETHER: Final = 500


@dataclass(frozen=True, slots=True)
class Event:
    """A fill or a change of a position, as positions see it, with its place in the ledger."""

    place: tuple[int, int, int]
    fact: books.FillFact | books.Change
    change: PositionChange | None = None


def history(*, position: Position) -> list[Event]:
    """Everything that made a position, oldest first.

    A change that shares its number with a fill comes after it.
    """
    return _histories([position])[position.pk]


def folded(*, positions: Sequence[Position]) -> dict[int, books.Book]:
    """By their keys, the positions that the stored history of each leads to."""
    found: dict[int, books.Book] = {}
    for start in range(0, len(positions), TOGETHER):
        together = _histories(positions[start : start + TOGETHER])
        found |= {key: books.fold(event.fact for event in told) for key, told in together.items()}
    return found


def _histories(positions: Sequence[Position]) -> dict[int, list[Event]]:
    events: dict[int, list[Event]] = {position.pk: [] for position in positions}
    keys = {(row.portfolio_id, row.instrument_id, row.product): row.pk for row in positions}
    fills = Fill.objects.filter(
        order__portfolio_id__in={row.portfolio_id for row in positions},
        order__instrument_id__in={row.instrument_id for row in positions},
    )
    # What the fill was decided on is most of its row, and not needed here.
    fills = fills.select_related("order").defer("quote", "inputs", "rule_path")
    for number, fill in enumerate(fills.order_by("ledger_seq", "filled_at", "sequence")):
        order = fill.order
        key = keys.get((order.portfolio_id, order.instrument_id, order.product))
        if key is not None:
            events[key].append(Event((fill.ledger_seq, 0, number), fact_of_fill(fill)))
    for row in PositionChange.objects.filter(position__in=list(events)).order_by(
        "ledger_seq", "pk"
    ):
        events[row.position_id].append(Event((row.ledger_seq, 1, row.pk), fact_of_change(row), row))
    return {key: sorted(told, key=lambda event: event.place) for key, told in events.items()}


def fact_of_fill(fill: Fill) -> books.FillFact:
    """A fill as positions see it."""
    return books.FillFact(
        buy=fill.order.buy,
        quantity=fill.quantity,
        price=fill.price,
        charges=fill.charges,
        margin_rate=fill.order.margin_rate,
        margin_unit=fill.order.margin_unit,
    )


def fact_of_change(row: PositionChange) -> books.Change:
    """A change as positions see it."""
    return books.Change(
        quantity=row.quantity,
        cost=row.cost,
        margin=row.margin,
        realised=row.realised,
        charges=row.charges,
    )
