"""Double entry for one portfolio: builders of balanced postings. Pure.

Positive is debit. Six accounts carry the life of a portfolio:

CASH        rupees the student has.
SECURITIES  cost of open positions, signed (shorts are negative).
MARGIN      what the broker holds for positions (positive) or lends for them (negative), less
            what the student owes after a loss beyond their cash.
CHARGES     charges paid.
REALISED    realised profit (credit) and loss (debit).
DIVIDENDS   dividends received (credit).
CAPITAL     cash the contest paid in (credit).

Equity is CASH + MARGIN + the market value of the open positions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from mockmarket.core.money import ZERO, money
from portfolios.positions import Effect

CASH = "CASH"
SECURITIES = "SECURITIES"
MARGIN = "MARGIN"
CHARGES = "CHARGES"
REALISED = "REALISED"
DIVIDENDS = "DIVIDENDS"
CAPITAL = "CAPITAL"
ACCOUNTS = (CASH, SECURITIES, MARGIN, CHARGES, REALISED, DIVIDENDS, CAPITAL)

Postings = dict[str, Decimal]


class UnbalancedEntry(ValueError):
    """Postings that do not sum to zero, or none at all."""


@dataclass(frozen=True, slots=True)
class Funds:
    """Cash of a portfolio, and what it owes after a loss beyond its cash. Both at least zero."""

    cash: Decimal
    debt: Decimal = ZERO


def balanced(amounts: Mapping[str, Decimal]) -> Postings:
    """The non-zero postings of `amounts`, checked.

    Raises UnbalancedEntry when they do not sum to zero or none is left, ValueError for an
    unknown account or an amount finer than a paisa.
    """
    postings: Postings = {}
    for account, amount in amounts.items():
        if account not in ACCOUNTS:
            raise ValueError(f"unknown account {account!r}")
        if amount != money(amount):
            raise ValueError(f"{account} was {amount}, finer than a paisa")
        if amount:
            postings[account] = money(amount)
    if not postings:
        raise UnbalancedEntry("an entry needs at least one posting")
    total = sum(postings.values(), ZERO)
    if total:
        raise UnbalancedEntry(f"postings sum to {total}, not to zero: {postings}")
    return postings


def opening(amount: Decimal) -> Postings:
    """The contest pays the starting cash in."""
    return balanced({CASH: money(amount), CAPITAL: -money(amount)})


def cash_move(*, change: Decimal, funds: Funds, keep: Decimal = ZERO) -> tuple[Funds, Decimal]:
    """Funds after cash changes by `change`, and what lands on MARGIN because of debt.

    Cash never goes below `keep` (what open orders have reserved): a loss beyond that becomes
    debt, and money that comes in pays debt back first. The second value is the posting that
    MARGIN takes so that the entry still balances (negative: more debt).
    """
    cash = funds.cash + change
    if cash < keep:
        owed = keep - cash
        return Funds(cash=keep, debt=funds.debt + owed), -owed
    paid_back = min(funds.debt, cash - keep) if change > 0 else ZERO
    return Funds(cash=cash - paid_back, debt=funds.debt - paid_back), paid_back


def fill(*, effect: Effect, funds: Funds, keep: Decimal = ZERO) -> tuple[Funds, Postings]:
    """Postings of one fill, and the funds after it."""
    after, debt_posting = cash_move(change=effect.cash, funds=funds, keep=keep)
    postings = balanced(
        {
            CASH: after.cash - funds.cash,
            SECURITIES: effect.cost,
            MARGIN: effect.broker + debt_posting,
            CHARGES: effect.charges,
            REALISED: -effect.realised,
        }
    )
    return after, postings


def charge(*, amount: Decimal, funds: Funds, keep: Decimal = ZERO) -> tuple[Funds, Postings]:
    """A charge that belongs to no single fill (square-off fee, depository charge)."""
    after, debt_posting = cash_move(change=-amount, funds=funds, keep=keep)
    return after, balanced({CASH: after.cash - funds.cash, CHARGES: amount, MARGIN: debt_posting})


def dividend(*, amount: Decimal, funds: Funds, keep: Decimal = ZERO) -> tuple[Funds, Postings]:
    """A dividend credited (positive) or, on a short, charged (negative)."""
    after, debt_posting = cash_move(change=amount, funds=funds, keep=keep)
    return after, balanced(
        {CASH: after.cash - funds.cash, DIVIDENDS: -amount, MARGIN: debt_posting}
    )


def adjustment(*, amount: Decimal, funds: Funds, keep: Decimal = ZERO) -> tuple[Funds, Postings]:
    """Staff pay cash in (positive) or take it out (negative)."""
    after, debt_posting = cash_move(change=amount, funds=funds, keep=keep)
    return after, balanced({CASH: after.cash - funds.cash, CAPITAL: -amount, MARGIN: debt_posting})


def reversal(postings: Mapping[str, Decimal]) -> Postings:
    """The postings that undo `postings`."""
    return balanced({account: -amount for account, amount in postings.items()})


def balances(entries: Iterable[Mapping[str, Decimal]]) -> Postings:
    """The balance of every account after `entries`."""
    totals = dict.fromkeys(ACCOUNTS, ZERO)
    for postings in entries:
        for account, amount in postings.items():
            totals[account] += amount
    return totals
