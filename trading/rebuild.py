"""A contest's result derived again from the ledger and the fills, to compare with the frozen."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.db.models import Case, Count, F, Sum, When

from mockmarket.core.money import ZERO
from portfolios import contests, results
from portfolios.models import Contest, ContestClosing, LedgerEntry, Portfolio, Posting
from portfolios.valuation import PortfolioRow, PositionRow
from trading.models import Fill, PositionChange


class NotFrozen(results.NoResult):
    """The contest has not ended: there is nothing to compare with."""

    code = "not_frozen"


def rebuild(*, contest: Contest) -> tuple[list[results.Placing], list[results.Placing]]:
    """The result as frozen and as derived now from postings, fills and closing prices.

    Balances and positions as stored are not looked at. Raises NotFrozen.
    """
    closing = ContestClosing.objects.filter(contest=contest).first()
    if closing is None:
        raise NotFrozen("This contest has not ended.")
    found = _rows(contest, until=closing.taken_at)
    prices = {key: Decimal(last) for key, last in closing.prices.items()}
    derived = results.derive(found=found, prices=prices, at=closing.taken_at)
    return results.stored(contest=contest), derived


def _rows(contest: Contest, *, until: datetime) -> list[PortfolioRow]:
    frozen = {r.portfolio_id: r for r in results.results(contest=contest)}
    members = Portfolio.objects.filter(id__in=frozen).order_by("id")
    sums = _postings(contest, until=until)
    held = quantities(contest, until=until)
    fills = dict(
        LedgerEntry.objects.filter(
            portfolio__contest=contest, kind=LedgerEntry.Kind.FILL, occurred_at__lte=until
        )
        .values_list("portfolio_id")
        .annotate(count=Count("id"))
    )
    minimum = contests.rules_of(contest).minimum_fills
    account = Posting.Account
    return [
        PortfolioRow(
            id=member.id,
            contest_id=contest.id,
            contest=contest.slug,
            user_id=member.user_id,
            alias=frozen[member.id].alias,
            version=0,
            cash=sums[member.id, account.CASH],
            reserved=ZERO,
            margin=sums[member.id, account.MARGIN],
            paid_in=-sums[member.id, account.CAPITAL],
            realised=-sums[member.id, account.REALISED],
            charges=sums[member.id, account.CHARGES],
            dividends=-sums[member.id, account.DIVIDENDS],
            fills=fills.get(member.id, 0),
            ranked=fills.get(member.id, 0) >= minimum,
            positions=tuple(held[member.id]),
        )
        for member in members
    ]


def _postings(contest: Contest, *, until: datetime) -> dict[tuple[int, str], Decimal]:
    sums: dict[tuple[int, str], Decimal] = defaultdict(lambda: ZERO)
    found = (
        Posting.objects.filter(portfolio__contest=contest, entry__occurred_at__lte=until)
        .values_list("portfolio_id", "account")
        .annotate(total=Sum("amount"))
    )
    for portfolio_id, account, total in found:
        sums[portfolio_id, account] = total
    return sums


def quantities(contest: Contest, *, until: datetime) -> dict[int, list[PositionRow]]:
    """What each portfolio held at `until`, from fills and changes alone."""
    signed = Case(When(order__side="BUY", then=F("quantity")), default=-F("quantity"))
    held: dict[int, list[PositionRow]] = defaultdict(list)
    found = (
        Fill.objects.filter(order__portfolio__contest=contest, filled_at__lte=until)
        .values_list(
            "order__portfolio_id",
            "order__instrument__key",
            "order__instrument__symbol",
            "order__product",
        )
        .annotate(held=Sum(signed))
    )
    # Corporate actions and expiry move units without a fill.
    changed = (
        PositionChange.objects.filter(position__portfolio__contest=contest, occurred_at__lte=until)
        .exclude(quantity=0)
        .values_list(
            "position__portfolio_id",
            "position__instrument__key",
            "position__instrument__symbol",
            "position__product",
        )
        .annotate(held=Sum("quantity"))
    )
    totals: dict[tuple[int, str, str, str], int] = defaultdict(int)
    for portfolio_id, key, symbol, product, quantity in (*found, *changed):
        totals[portfolio_id, key, symbol, product] += quantity
    by_symbol = sorted(totals.items(), key=lambda item: (item[0][0], item[0][2], item[0][3]))
    for (portfolio_id, key, symbol, product), quantity in by_symbol:
        if quantity:
            held[portfolio_id].append(
                PositionRow(
                    instrument_key=key,
                    symbol=symbol,
                    product=product,
                    quantity=quantity,
                    cost=ZERO,
                )
            )
    return held
