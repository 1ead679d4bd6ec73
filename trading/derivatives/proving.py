"""Proofs over stored marks, expiries and margins: each is reckoned again from what it stores."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from mockmarket.core.money import ZERO
from portfolios import ledger, positions
from portfolios.models import Position, Posting
from trading import charges, collateral, folding, marking
from trading.derivatives.settling import exercise_charges
from trading.models import PositionChange
from trading.verification import Finding

KINDS = (
    PositionChange.Kind.MARK_TO_MARKET,
    PositionChange.Kind.EXPIRY,
    PositionChange.Kind.MARGIN,
)


def verify_changes(*, portfolio_id: int | None = None) -> Iterator[Finding | None]:
    """Derive every stored change again, bit for bit, and compare each ledger entry with the
    changes that it pays for; None for each that agrees."""
    found = Position.objects.filter(changes__kind__in=KINDS)
    if portfolio_id is not None:
        found = found.filter(portfolio_id=portfolio_id)
    for position in found.select_related("instrument").distinct().order_by("pk"):
        yield from _verify_position(position)
    yield from _verify_entries(portfolio_id)


def _verify_position(position: Position) -> Iterator[Finding | None]:
    book = positions.Book()
    for event in folding.history(position=position):
        row = event.change
        if row is not None and row.kind in KINDS:
            derived = _derive(row, book, position)
            where = f"{row.get_kind_display()} {row.reference}"
            yield (
                None
                if derived == event.fact
                else Finding("change_differs", where, f"stored {event.fact}, derived {derived}")
            )
        book = positions.fold([event.fact], start=book)


def _derive(row: PositionChange, book: positions.Book, position: Position) -> positions.Change:
    if row.kind == PositionChange.Kind.MARGIN:
        return _derive_margin(row.inputs, book)
    if row.kind == PositionChange.Kind.MARK_TO_MARKET:
        assert row.price is not None, "a mark has its price"
        return marking.mark_to_market(book, price=row.price)
    contract = position.instrument
    value = marking.final_value(
        kind=contract.instrument_type,
        strike=contract.strike_price,
        spot=Decimal(row.inputs["spot"]),
    )
    cost = exercise_charges(
        contract=contract,
        quantity=book.quantity,
        value=value,
        schedule=charges.Schedule.parse(row.inputs["rates"]),
    )
    return marking.expire(book, value=value, charges=cost.total)


def _derive_margin(inputs: dict[str, Any], book: positions.Book) -> positions.Change:
    """The place's share of what stood and what was taken; nothing where the record contradicts
    itself: a margin that the scenarios do not give, or more taken than was missing."""
    gross = collateral.Reckoning.of_json(inputs["reckoning"]).margin.total
    stands, taken = Decimal(inputs["stands"]), Decimal(inputs["taken"])
    missing = gross - Decimal(inputs["premiums"]) - stands
    if str(gross) != inputs["gross"] or (taken > missing if missing > 0 else taken != missing):
        return positions.Change()
    shares = marking.allot(stands + taken, weights=inputs["weights"])
    return positions.Change(margin=shares[inputs["place"]] - book.margin)


def _verify_entries(portfolio_id: int | None) -> Iterator[Finding]:
    """Each entry moves what its changes sum to."""
    rows = PositionChange.objects.filter(kind__in=KINDS).select_related("position")
    postings = Posting.objects.select_related("entry")
    if portfolio_id is not None:
        rows = rows.filter(position__portfolio_id=portfolio_id)
        postings = postings.filter(portfolio_id=portfolio_id)
    sums: dict[tuple[int, str], dict[str, Decimal]] = {}
    for row in rows:
        total = sums.setdefault(
            (row.position.portfolio_id, row.reference),
            {ledger.SECURITIES: ZERO, ledger.REALISED: ZERO, ledger.CHARGES: ZERO},
        )
        total[ledger.SECURITIES] += row.cost
        total[ledger.REALISED] -= row.realised
        total[ledger.CHARGES] += row.charges
    posted: dict[tuple[int, str], dict[str, Decimal]] = {}
    references = {reference for _, reference in sums}
    for posting in postings.filter(entry__reference__in=references):
        key = (posting.portfolio_id, posting.entry.reference)
        posted.setdefault(key, {})[posting.account] = posting.amount
    for key, total in sums.items():
        for account, amount in total.items():
            stored = posted.get(key, {}).get(account, ZERO)
            if stored != amount:
                yield Finding(
                    "entry_differs", f"entry {key[1]}", f"{account} {stored}, changes {amount}"
                )
