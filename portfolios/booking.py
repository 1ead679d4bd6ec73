"""The only writer of ledger entries and postings, and of the balances they project.

A use case locks its portfolios first (`lock_portfolios`, in id order), works out its entries with
portfolios/ledger.py, and hands them to `book_entry`, which numbers them without a gap and moves
the portfolio's cash, margin and debt; `store_entries` writes the postings and then the entries (a
trigger checks the sums). Everything here refuses to run outside a transaction.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import connection, transaction

from mockmarket.core.bulk import insert_rows, insert_values
from mockmarket.core.errors import DomainError
from mockmarket.core.models import AuditEntry, User
from mockmarket.core.money import ZERO
from portfolios import ledger, positions
from portfolios.models import LedgerEntry, Portfolio, Position, Posting

BALANCE_FIELDS = ("cash", "reserved", "margin", "debt", "unsettled", "entry_seq")


class OutsideTransaction(RuntimeError):
    """Books are changed only inside the transaction of a use case."""


class EntryAlreadyReversed(DomainError):
    """A ledger entry is reversed at most once, and a reversal never."""

    code = "entry_already_reversed"
    status = 409


@dataclass(frozen=True, slots=True)
class NewEntry:
    """A ledger entry to write. `funds` are the portfolio's cash and debt after it."""

    portfolio: Portfolio
    kind: str
    reference: str
    description: str
    postings: Mapping[str, Decimal]
    funds: ledger.Funds
    occurred_at: datetime
    actor: User | None = None
    reverses: LedgerEntry | None = None
    id: uuid.UUID = field(default_factory=uuid.uuid4)


def require_transaction() -> None:
    """Raise OutsideTransaction unless the caller has opened one."""
    if not connection.in_atomic_block:
        raise OutsideTransaction("open a transaction before touching the books")


def lock_portfolios(*, ids: Collection[int]) -> dict[int, Portfolio]:
    """The portfolios by id, locked until commit, always in the order of their ids."""
    require_transaction()
    rows = (
        Portfolio.objects.select_for_update(of=("self",))
        .select_related("contest")
        .filter(id__in=sorted(ids))
        .order_by("id")
    )
    return {row.id: row for row in rows}


def lock_portfolio(*, portfolio_id: int) -> Portfolio:
    """One portfolio, locked until commit. Raises Portfolio.DoesNotExist."""
    require_transaction()
    return (
        Portfolio.objects.select_for_update(of=("self",))
        .select_related("contest")
        .get(id=portfolio_id)
    )


def funds_of(portfolio: Portfolio) -> ledger.Funds:
    """Cash and debt as the ledger's arithmetic takes them."""
    return ledger.Funds(cash=portfolio.cash, debt=portfolio.debt)


def book_of(position: Position) -> positions.Book:
    """A stored position as arithmetic takes it."""
    return positions.Book(
        quantity=position.quantity,
        cost=position.cost,
        margin=position.margin,
        realised_pnl=position.realised_pnl,
        charges=position.charges,
    )


def take_book(position: Position, book: positions.Book) -> None:
    """The position becomes what the arithmetic says; it is not saved."""
    position.quantity, position.cost, position.margin = book.quantity, book.cost, book.margin
    position.realised_pnl, position.charges = book.realised_pnl, book.charges


@dataclass(frozen=True, slots=True)
class BookedEntry:
    """An entry with its number and its postings (rupees by account), not yet stored."""

    entry: LedgerEntry
    postings: ledger.Postings


def book_entry(entry: NewEntry) -> BookedEntry:
    """Number a balanced entry of a locked portfolio and move its balances, in memory.

    The caller stores it (`store_entries`) and the balances (`save_balances`) in the same
    transaction. Raises ledger.UnbalancedEntry.
    """
    portfolio = entry.portfolio
    checked = ledger.balanced(entry.postings)
    portfolio.entry_seq += 1
    portfolio.cash += checked.get(ledger.CASH, ZERO)
    portfolio.margin += checked.get(ledger.MARGIN, ZERO)
    portfolio.debt = entry.funds.debt
    assert portfolio.cash == entry.funds.cash, "cash after the entry differs from its funds"
    row = LedgerEntry(
        id=entry.id,
        portfolio=portfolio,
        seq=portfolio.entry_seq,
        kind=entry.kind,
        occurred_at=entry.occurred_at,
        reference=entry.reference,
        description=entry.description[:200],
        reverses=entry.reverses,
        actor=entry.actor,
    )
    return BookedEntry(row, checked)


def store_entries(booked: Sequence[BookedEntry]) -> None:
    """Write booked entries: all postings first, then the entries, whose triggers check them."""
    require_transaction()
    insert_values(
        Posting,
        ("entry_id", "portfolio_id", "account", "amount"),
        [
            (one.entry.pk, one.entry.portfolio_id, account, amount)
            for one in booked
            for account, amount in one.postings.items()
        ],
    )
    insert_rows([one.entry for one in booked])


def save_balances(portfolio: Portfolio) -> None:
    """Store the balances of a locked portfolio."""
    require_transaction()
    portfolio.save(update_fields=BALANCE_FIELDS)


def open_books(*, portfolio: Portfolio, amount: Decimal, at: datetime) -> LedgerEntry:
    """Pay a new portfolio its starting cash."""
    return _write_one(
        NewEntry(
            portfolio=lock_portfolio(portfolio_id=portfolio.id),
            kind=LedgerEntry.Kind.OPENING,
            reference="opening",
            description="Starting cash of the contest",
            postings=ledger.opening(amount),
            funds=ledger.Funds(cash=amount),
            occurred_at=at,
        ),
        portfolio,
    )


def post_entry(
    *,
    portfolio: Portfolio,
    kind: str,
    reference: str,
    description: str,
    postings: Mapping[str, Decimal],
    at: datetime,
    actor: User | None = None,
    entry_id: uuid.UUID | None = None,
) -> LedgerEntry:
    """Write one entry for `portfolio`, locking its row.

    `portfolio`'s balances are refreshed in place. Raises ledger.UnbalancedEntry, and the
    database refuses cash below zero.
    """
    locked = lock_portfolio(portfolio_id=portfolio.id)
    checked = ledger.balanced(postings)
    return _write_one(
        NewEntry(
            portfolio=locked,
            kind=kind,
            reference=reference,
            description=description,
            postings=checked,
            funds=ledger.Funds(cash=locked.cash + checked.get(ledger.CASH, ZERO), debt=locked.debt),
            occurred_at=at,
            actor=actor,
            id=entry_id or uuid.uuid4(),
        ),
        portfolio,
    )


def adjust_cash(
    *, portfolio: Portfolio, amount: Decimal, reason: str, actor: User, at: datetime
) -> LedgerEntry:
    """Staff pay cash into a portfolio or take it out, with a reason for the audit log."""
    with transaction.atomic():
        locked = lock_portfolio(portfolio_id=portfolio.id)
        before = locked.cash
        funds, postings = ledger.adjustment(
            amount=amount, funds=funds_of(locked), keep=locked.reserved
        )
        entry = _write_one(
            NewEntry(
                portfolio=locked,
                kind=LedgerEntry.Kind.ADJUSTMENT,
                reference=f"adjustment:{uuid.uuid4()}",
                description=reason,
                postings=postings,
                funds=funds,
                occurred_at=at,
                actor=actor,
            ),
            portfolio,
        )
        AuditEntry.objects.create(
            at=at,
            actor=actor,
            action="portfolio.adjust_cash",
            object_type="portfolio",
            object_id=str(portfolio.id),
            reason=reason,
            before={"cash": str(before)},
            after={"cash": str(locked.cash)},
        )
    return entry


def reverse_entry(*, entry: LedgerEntry, reason: str, actor: User, at: datetime) -> LedgerEntry:
    """Undo a ledger entry by its mirror image; the first stays as it was.

    Only entries that move cash alone (adjustments, dividends, charges) can be reversed: a fill
    has changed a position as well. Raises EntryAlreadyReversed.
    """
    with transaction.atomic():
        locked = lock_portfolio(portfolio_id=entry.portfolio_id)
        if entry.kind == LedgerEntry.Kind.REVERSAL or hasattr(entry, "reversed_by"):
            raise EntryAlreadyReversed("This entry has been reversed, or is a reversal.")
        postings = ledger.reversal({p.account: p.amount for p in entry.postings.all()})
        if ledger.SECURITIES in postings:
            raise EntryAlreadyReversed("A fill is corrected by an opposite fill, not reversed.")
        funds = ledger.Funds(
            cash=locked.cash + postings.get(ledger.CASH, ZERO),
            debt=locked.debt - postings.get(ledger.MARGIN, ZERO),
        )
        written = _write_one(
            NewEntry(
                portfolio=locked,
                kind=LedgerEntry.Kind.REVERSAL,
                reference=f"reversal:{entry.id}",
                description=reason,
                postings=postings,
                funds=funds,
                occurred_at=at,
                actor=actor,
                reverses=entry,
            ),
            locked,
        )
        AuditEntry.objects.create(
            at=at,
            actor=actor,
            action="ledger.reverse",
            object_type="ledger_entry",
            object_id=str(entry.id),
            reason=reason,
            after={"reversal": str(written.id)},
        )
    return written


def _write_one(entry: NewEntry, shown: Portfolio) -> LedgerEntry:
    """Write one entry and its balances; `shown`, the caller's object, sees the new balances."""
    booked = book_entry(entry)
    store_entries([booked])
    save_balances(entry.portfolio)
    for name in BALANCE_FIELDS:
        setattr(shown, name, getattr(entry.portfolio, name))
    return booked.entry
