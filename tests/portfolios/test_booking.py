"""The books: append-only in the database, balanced, numbered without a gap."""

import uuid
from decimal import Decimal

import pytest
from django.db import DatabaseError, connection, transaction

from mockmarket.core import clock
from mockmarket.core.models import AuditEntry, User
from portfolios import booking, ledger
from portfolios.models import LedgerEntry, Portfolio, Posting
from portfolios.selectors import access_portfolio
from tests.support.api import student

D = Decimal


@pytest.fixture
def portfolio(db: None) -> Portfolio:
    return access_portfolio(user=student("alice"))


def refused(statement: str, *values: object) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


def test_opening_entry_pays_the_starting_cash(portfolio: Portfolio) -> None:
    entry = LedgerEntry.objects.get(portfolio=portfolio)
    assert (entry.kind, entry.seq, portfolio.cash) == ("OPENING", 1, D(1_000_000))
    assert {p.account: p.amount for p in entry.postings.all()} == {
        "CASH": D(1_000_000),
        "CAPITAL": D(-1_000_000),
    }


def test_raw_sql_cannot_change_the_books(portfolio: Portfolio) -> None:
    refused("UPDATE portfolios_posting SET amount = amount + 1")
    refused("DELETE FROM portfolios_posting")
    refused("UPDATE portfolios_ledgerentry SET description = 'x'")
    refused("DELETE FROM portfolios_ledgerentry")


def test_the_orm_cannot_change_the_books(portfolio: Portfolio) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        Posting.objects.update(amount=1)
    with pytest.raises(DatabaseError), transaction.atomic():
        LedgerEntry.objects.update(seq=7)


def test_nothing_is_added_to_a_closed_entry(portfolio: Portfolio) -> None:
    entry = LedgerEntry.objects.get(portfolio=portfolio)
    with pytest.raises(DatabaseError), transaction.atomic():
        Posting.objects.create(
            entry=entry, portfolio=portfolio, account="CHARGES", amount=D("1.00")
        )


@pytest.mark.parametrize("amounts", [{}, {"CASH": "5.00"}, {"CASH": "5.00", "CAPITAL": "-4.99"}])
def test_the_database_refuses_an_unbalanced_entry(
    portfolio: Portfolio, amounts: dict[str, str]
) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        write_entry(portfolio, amounts)


def write_entry(portfolio: Portfolio, amounts: dict[str, str]) -> None:
    """Postings and an entry past all our checks."""
    entry_id = uuid.uuid4()
    for account, amount in amounts.items():
        Posting.objects.create(
            entry_id=entry_id, portfolio=portfolio, account=account, amount=D(amount)
        )
    LedgerEntry.objects.create(
        id=entry_id,
        portfolio=portfolio,
        seq=2,
        kind="ADJUSTMENT",
        occurred_at=clock.now(),
        reference="x",
        description="x",
    )


def test_the_database_refuses_cash_below_zero(portfolio: Portfolio) -> None:
    refused("UPDATE portfolios_portfolio SET cash = -1")
    refused("UPDATE portfolios_portfolio SET reserved = cash + 1")


def test_adjustments_are_numbered_audited_and_reversible(portfolio: Portfolio) -> None:
    staff = User.objects.create(username="staff", is_staff=True)
    entry = booking.adjust_cash(
        portfolio=portfolio, amount=D("500.00"), reason="prize", actor=staff, at=clock.now()
    )
    assert (portfolio.cash, entry.seq) == (D("1000500.00"), 2)
    back = booking.reverse_entry(entry=entry, reason="typing error", actor=staff, at=clock.now())
    portfolio.refresh_from_db()
    assert (portfolio.cash, back.seq, portfolio.entry_seq) == (D("1000000.00"), 3, 3)
    assert AuditEntry.objects.filter(actor=staff).count() == 2
    with pytest.raises(booking.EntryAlreadyReversed):
        booking.reverse_entry(
            entry=LedgerEntry.objects.get(pk=entry.pk), reason="again", actor=staff, at=clock.now()
        )


def test_the_books_refuse_to_be_touched_without_a_transaction(
    transactional_db: None,
) -> None:
    with pytest.raises(booking.OutsideTransaction):
        booking.lock_portfolios(ids=[1])


@pytest.mark.parametrize(
    ("amounts", "error"),
    [
        ({"CASH": D("1.00"), "CAPITAL": D("-2.00")}, ledger.UnbalancedEntry),
        ({}, ledger.UnbalancedEntry),
        ({"BANK": D("1.00"), "CASH": D("-1.00")}, ValueError),
        ({"CASH": D("0.001"), "CAPITAL": D("-0.001")}, ValueError),
    ],
)
def test_unbalanced_postings_are_refused_by_name(
    amounts: dict[str, Decimal], error: type[Exception]
) -> None:
    with pytest.raises(error):
        ledger.balanced(amounts)


def test_a_loss_beyond_cash_becomes_debt_and_is_paid_back_first() -> None:
    funds, owed = ledger.cash_move(change=D(-150), funds=ledger.Funds(D(100)), keep=D(20))
    assert (funds, owed) == (ledger.Funds(D(20), D(70)), D(-70))
    funds, paid = ledger.cash_move(change=D(100), funds=funds, keep=D(20))
    assert (funds, paid) == (ledger.Funds(D(50), D(0)), D(70))
