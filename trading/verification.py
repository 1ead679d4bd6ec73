"""Proofs over the stored books: every fill decided again, every balance added up again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum

from mockmarket.core import records
from mockmarket.core.money import ZERO
from portfolios import booking, ledger
from portfolios.models import LedgerEntry, Portfolio, Position, Posting
from trading import auction, charges, explain, folding
from trading.lifecycle import LIVE
from trading.matching import CONTINUOUS
from trading.models import Fill, Order, PositionChange


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be. `code` names the check."""

    code: str
    where: str
    message: str


def verify_fills(*, fills: QuerySet[Fill] | None = None) -> Iterator[Finding | None]:
    """Decide every stored fill again from what it stores; None for each that agrees.

    Compares price, quantity, rule path and charges bit for bit.
    """
    found = fills if fills is not None else Fill.objects.all()
    rows = found.select_related("order__instrument").order_by("order_id", "sequence", "pk")
    order_id, turnover = None, Decimal(0)
    for fill in rows.iterator(chunk_size=1_000):
        if fill.order_id != order_id:
            order_id, turnover = fill.order_id, Decimal(0)
        yield _verify_one(fill, turnover)
        turnover += fill.price * fill.quantity


def _verify_one(fill: Fill, turnover: Decimal) -> Finding | None:
    where = f"fill {fill.pk}"
    look = explain.look_of(quote=fill.quote, inputs=fill.inputs)
    if fill.phase == CONTINUOUS:
        decision = look.decide()
    else:
        reason = records.read(fill.rule_path[0])[1].get("kind", "")
        decision = auction.close_out(order=look.order, market=look.market, reason=reason)
    step = fill.inputs["step"]
    if step >= len(decision.matches):
        return Finding("fill_not_decided", where, "the rules decide no such fill")
    matched = decision.matches[step]
    if (matched.quantity, matched.price) != (fill.quantity, fill.price):
        return Finding(
            "fill_differs",
            where,
            f"stored {fill.quantity} at {fill.price},"
            f" decided {matched.quantity} at {matched.price}",
        )
    if _rules(decision.path) != _rules(fill.rule_path):
        return Finding("rule_path_differs", where, "the rules go another way")
    return _verify_charges(fill, turnover, where)


def _rules(path: Sequence[str]) -> list[tuple[str, Mapping[str, str]]]:
    """The rules of a path, also of one that was kept as English sentences."""
    return [records.read(step) for step in path]


def _verify_charges(fill: Fill, turnover: Decimal, where: str) -> Finding | None:
    order = fill.order
    cost = charges.of_fill(
        charges.Schedule.parse(fill.inputs["rates"]),
        buy=order.buy,
        turnover_before=turnover,
        turnover_after=turnover + fill.price * fill.quantity,
        depository=order.depository,
    )
    lines = {name: str(amount) for name, amount in cost.lines.items()}
    if cost.total != fill.charges or lines != fill.charge_lines:
        return Finding("charges_differ", where, f"stored {fill.charges}, computed {cost.total}")
    return None


def check_ledger(*, portfolio_ids: list[int] | None = None) -> list[Finding]:
    """Everything about the books that is not as it must be; empty is a proof.

    Entries balance and are numbered without a gap; balances equal postings; positions equal
    their fills; each fill has its entry; reservations equal open orders; nothing is negative.
    """
    portfolios = Portfolio.objects.order_by("pk")
    if portfolio_ids is not None:
        portfolios = portfolios.filter(pk__in=portfolio_ids)
    findings: list[Finding] = list(_check_entries(portfolio_ids))
    totals = _totals(portfolio_ids)
    for portfolio in portfolios.iterator(chunk_size=500):
        findings += _check_portfolio(portfolio, totals)
    findings += _check_positions(totals)
    findings += _check_orders(portfolio_ids)
    return findings


def _check_entries(ids: list[int] | None) -> Iterator[Finding]:
    entries = LedgerEntry.objects.all()
    if ids is not None:
        entries = entries.filter(portfolio_id__in=ids)
    postings = Posting.objects.all()
    if ids is not None:
        postings = postings.filter(entry__portfolio_id__in=ids)
    # By the postings' own column: with the entries joined in, the same took four times as long.
    sums = postings.values("entry_id").annotate(total=Sum("amount")).order_by()
    wrong = [row["entry_id"] for row in sums.exclude(total=0)]
    wrong += entries.filter(~Exists(Posting.objects.filter(entry=OuterRef("pk")))).values_list(
        "pk", flat=True
    )
    for key in wrong:
        yield Finding("entry_unbalanced", f"entry {key}", "its postings do not sum to zero")
    numbering = entries.values("portfolio_id").annotate(count=Count("pk"), last=Sum("seq"))
    for row in numbering.order_by():
        count = row["count"]
        if row["last"] != count * (count + 1) // 2:
            yield Finding(
                "sequence_gap", f"portfolio {row['portfolio_id']}", "entries are not 1, 2, 3, …"
            )
    stray = Posting.objects.exclude(portfolio_id=F("entry__portfolio_id"))
    if ids is not None:
        stray = stray.filter(portfolio_id__in=ids)
    for posting in stray:
        yield Finding("posting_astray", f"posting {posting.pk}", "belongs to another portfolio")


@dataclass(frozen=True, slots=True)
class _Totals:
    """Everything that a portfolio is compared with, by its key: a statement each for all of them.

    Asked portfolio by portfolio, 10,000 of them took 40,000 statements and most of the time.
    """

    posted: dict[int, dict[str, Decimal]]
    # Charges and realised profit that no fill made, and the part of them inside positions.
    apart: dict[int, dict[str, Decimal]]
    changed: dict[int, dict[str, Decimal]]
    entries: dict[int, int]
    reserved: dict[int, Decimal]
    held: dict[int, list[Position]]


def _totals(ids: list[int] | None) -> _Totals:
    postings, entries = Posting.objects.all(), LedgerEntry.objects.all()
    changes = PositionChange.objects.all()
    if ids is not None:
        postings = postings.filter(portfolio_id__in=ids)
        entries = entries.filter(portfolio_id__in=ids)
        changes = changes.filter(position__portfolio_id__in=ids)
    unfilled = postings.filter(account__in=(ledger.CHARGES, ledger.REALISED)).exclude(
        entry__kind=LedgerEntry.Kind.FILL
    )
    counts = entries.values_list("portfolio_id").annotate(count=Count("pk")).order_by()
    summed = changes.values_list("position__portfolio_id").annotate(Sum("charges"), Sum("realised"))
    return _Totals(
        posted=_by_account(postings),
        apart=_by_account(unfilled),
        changed={
            key: {ledger.CHARGES: charges, ledger.REALISED: realised}
            for key, charges, realised in summed.order_by()
        },
        entries=dict(counts),
        reserved=_reserved(ids),
        held=_positions(ids),
    )


def _by_account(postings: QuerySet[Posting]) -> dict[int, dict[str, Decimal]]:
    sums: dict[int, dict[str, Decimal]] = {}
    for row in postings.values("portfolio_id", "account").annotate(total=Sum("amount")).order_by():
        sums.setdefault(row["portfolio_id"], {})[row["account"]] = row["total"]
    return sums


def _reserved(ids: list[int] | None) -> dict[int, Decimal]:
    orders = Order.objects.filter(status__in=LIVE)
    if ids is not None:
        orders = orders.filter(portfolio_id__in=ids)
    rows = orders.values("portfolio_id").annotate(total=Sum("reserved")).order_by()
    return {row["portfolio_id"]: row["total"] for row in rows}


def _positions(ids: list[int] | None) -> dict[int, list[Position]]:
    held = Position.objects.select_related("instrument")
    if ids is not None:
        held = held.filter(portfolio_id__in=ids)
    found: dict[int, list[Position]] = {}
    for row in held:
        found.setdefault(row.portfolio_id, []).append(row)
    return found


def _check_portfolio(portfolio: Portfolio, totals: _Totals) -> Iterator[Finding]:
    where = f"portfolio {portfolio.pk}"

    def differs(code: str, what: str, stored: Decimal, added: Decimal) -> Iterator[Finding]:
        if stored != added:
            yield Finding(code, where, f"{what} stored {stored}, added up {added}")

    held = totals.held.get(portfolio.pk, [])
    reserved = totals.reserved.get(portfolio.pk, ZERO)

    def posted(account: str) -> Decimal:
        return totals.posted.get(portfolio.pk, {}).get(account, ZERO)

    def outside(account: str) -> Decimal:
        """Of what no fill posted, the part that belongs to no position."""
        apart, changed = (part.get(portfolio.pk, {}) for part in (totals.apart, totals.changed))
        sign = -1 if account == ledger.REALISED else 1
        return apart.get(account, ZERO) - sign * changed.get(account, ZERO)

    yield from differs("cash_differs", "cash", portfolio.cash, posted(ledger.CASH))
    yield from differs("margin_differs", "margin", portfolio.margin, posted(ledger.MARGIN))
    yield from differs("reserved_differs", "reservations", portfolio.reserved, reserved)
    yield from differs(
        "cost_differs",
        "securities at cost",
        sum((row.cost for row in held), ZERO),
        posted(ledger.SECURITIES),
    )
    yield from differs(
        "margin_differs",
        "margin of positions",
        sum((row.margin - row.cost for row in held), ZERO) - portfolio.debt,
        posted(ledger.MARGIN),
    )
    yield from differs(
        "charges_differ",
        "charges",
        sum((row.charges for row in held), ZERO) + outside(ledger.CHARGES),
        posted(ledger.CHARGES),
    )
    yield from differs(
        "realised_differs",
        "realised profit",
        outside(ledger.REALISED) - sum((row.realised_pnl for row in held), ZERO),
        posted(ledger.REALISED),
    )
    if portfolio.entry_seq != totals.entries.get(portfolio.pk, 0):
        yield Finding("sequence_gap", where, "entry_seq is not the number of entries")
    if portfolio.cash < 0 or portfolio.reserved < 0 or portfolio.reserved > portfolio.cash:
        yield Finding("negative", where, "cash or free cash is below zero")


def _check_positions(totals: _Totals) -> Iterator[Finding]:
    """A position is the fold of its fills and changes."""
    held = [row for rows in totals.held.values() for row in rows]
    books = folding.folded(positions=held)
    for row in held:
        where = (
            f"position of portfolio {row.portfolio_id} in {row.instrument.symbol} ({row.product})"
        )
        stored, book = booking.book_of(row), books[row.pk]
        if stored != book:
            yield Finding("position_differs", where, f"stored {stored}, folded {book}")
        if row.product == "CNC" and row.quantity < 0:
            yield Finding("negative", where, "delivery is short")


def _check_orders(ids: list[int] | None) -> Iterator[Finding]:
    orders = Order.objects.annotate(filled=Sum("fills__quantity"), paid=Sum("fills__charges"))
    if ids is not None:
        orders = orders.filter(portfolio_id__in=ids)
    wrong = orders.exclude(
        Q(filled_quantity=0, filled__isnull=True)
        | Q(filled_quantity=F("filled"), charges=F("paid"))
    )
    for order in wrong:
        yield Finding("order_differs", f"order {order.pk}", "its fills do not add up to it")
    ended = orders.exclude(status__in=LIVE).exclude(reserved=0)
    for order in ended:
        yield Finding("reserved_differs", f"order {order.pk}", "ended, and still holds cash")
    beyond = Fill.objects.filter(
        Q(order__side="BUY", order__price__isnull=False, price__gt=F("order__price"))
        | Q(order__side="SELL", order__price__isnull=False, price__lt=F("order__price"))
    ).filter(order__version=1)
    if ids is not None:
        beyond = beyond.filter(order__portfolio_id__in=ids)
    for fill in beyond:
        yield Finding("beyond_limit", f"fill {fill.pk}", "filled beyond its order's limit")
    entries = LedgerEntry.objects.filter(kind=LedgerEntry.Kind.FILL)
    fills = Fill.objects.all()
    if ids is not None:
        entries = entries.filter(portfolio_id__in=ids)
        fills = fills.filter(order__portfolio_id__in=ids)
    if entries.count() != fills.count():
        yield Finding(
            "entry_missing", "ledger", f"{fills.count()} fills, {entries.count()} entries of fills"
        )
