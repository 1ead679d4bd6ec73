"""One portfolio's part of a corporate action, and its reversal: each in one transaction, once.

A position's change is a row of its history (PositionChange), the cash an entry of the ledger;
the step row makes both happen once, whatever is repeated.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db import transaction
from django.db.models import Case, F, Sum, When

from mockmarket.core import bus
from mockmarket.core.money import ZERO, notional
from mockmarket.core.records import english
from portfolios import booking, ledger, positions
from portfolios.models import LedgerEntry, Portfolio, Position
from trading import events
from trading.corporate_actions import contracts, resting
from trading.corporate_actions.arithmetic import Adjustment, adjust_position
from trading.models import CorporateAction, CorporateActionStep, Fill, PositionChange


def apply_step(
    *,
    action: CorporateAction,
    portfolio_id: int,
    factor: Fraction | None,
    since: datetime,
    at: datetime,
) -> bool:
    """Do to one portfolio what the action asks; False when it was done before.

    `since` is the start of the ex-date; `factor` None is a dividend.
    """
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=portfolio_id)
        if CorporateActionStep.objects.filter(action=action, portfolio=portfolio).exists():
            return False
        step = CorporateActionStep(action=action, portfolio=portfolio, applied_at=at)
        scales = {} if factor is None else _scales(action, factor)
        for position in _positions(action, portfolio):
            entitled = position.quantity - _filled_since(position, since)
            if position.instrument_id == action.instrument_id:
                step.units += entitled
            if factor is not None and entitled:
                scale = scales[position.instrument_id]
                step.contracts += scale.lots is not None
                change = _change_of(action, position, scale, entitled, action.unit_price)
                step.cash += change.cash
                _book_change(action, portfolio, position, change, f"action:{action.pk}", at=at)
        if factor is None:
            step.cash = notional(price=action.amount, quantity=step.units)
            _book_dividend(action, step, at=at)
        else:
            for scale in scales.values():
                terms = resting.Terms(scale, since, at)
                step.orders += resting.adjust_orders(portfolio=portfolio, terms=terms)
                step.gtts += resting.adjust_gtts(portfolio=portfolio, terms=terms)
        booking.save_balances(portfolio)
        step.save(force_insert=True)
        _tell(step, portfolio, at=at)
    return True


def reverse_step(*, step: CorporateActionStep, factor: Fraction | None, at: datetime) -> bool:
    """Undo one portfolio's step; False when that was done before.

    A position that has not moved since is exactly what it was. One that has traded since is
    turned back by the ratio: the units that are there count for fewer (or more) again.
    """
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=step.portfolio_id)
        step = CorporateActionStep.objects.select_for_update(of=("self",)).get(pk=step.pk)
        if step.reversed_at is not None:
            return False
        action = CorporateAction.objects.select_related("instrument").get(pk=step.action_id)
        if factor is None:
            _take_dividend_back(action, portfolio, step.cash, at=at)
        else:
            scales = _scales(action, factor)
            _turn_back(action, portfolio, scales, at=at)
            resting.restore_orders(portfolio=portfolio, kept=step.orders, scales=scales, at=at)
            resting.restore_gtts(kept=step.gtts, scales=scales, at=at)
        booking.save_balances(portfolio)
        step.reversed_at = at
        step.save(update_fields=["reversed_at"])
        step.action = action
        _tell(step, portfolio, at=at)
    return True


def _tell(step: CorporateActionStep, portfolio: Portfolio, *, at: datetime) -> None:
    """Tell the owner, once: in the transaction that makes the step happen once."""
    if step.units or step.contracts or step.cash or step.orders or step.gtts:
        bus.publish(
            user_id=portfolio.user_id,
            type=events.CORPORATE_ACTION,
            payload=events.corporate_action(step=step, portfolio=portfolio, at=at),
            at=at,
        )


def _positions(action: CorporateAction, portfolio: Portfolio) -> list[Position]:
    found = Position.objects.select_for_update(of=("self",)).filter(
        portfolio=portfolio, instrument_id__in=contracts.concerned(action)
    )
    return list(found.order_by("pk"))


def _scales(action: CorporateAction, factor: Fraction) -> dict[int, contracts.Scale]:
    return {scale.instrument.pk: scale for scale in contracts.scales(action, factor)}


def _filled_since(position: Position, since: datetime) -> int:
    signed = Case(When(order__side="BUY", then=F("quantity")), default=-F("quantity"))
    total: int | None = Fill.objects.filter(
        order__portfolio_id=position.portfolio_id,
        order__instrument_id=position.instrument_id,
        order__product=position.product,
        filled_at__gte=since,
    ).aggregate(total=Sum(signed))["total"]
    return total or 0


def _change_of(
    action: CorporateAction,
    position: Position,
    scale: contracts.Scale,
    entitled: int,
    unit_price: Decimal | None,
) -> Adjustment:
    """`unit_price` is the share's; what a contract has beyond whole lots is worth what it cost."""
    book, factor = booking.book_of(position), scale.factor
    if unit_price is None or scale.lots is not None:
        unit_price = book.average_price * factor.denominator / factor.numerator
    lot = 1 if scale.lots is None else scale.lots[1]
    return adjust_position(book, entitled=entitled, factor=factor, unit_price=unit_price, lot=lot)


def _entry_name(action: CorporateAction, position: Position, reference: str) -> str:
    """Of the ledger entry for a position's fraction: a portfolio may hold many contracts."""
    share = position.instrument_id == action.instrument_id
    return f"{reference}:{position.product if share else position.pk}"


def _book_change(
    action: CorporateAction,
    portfolio: Portfolio,
    position: Position,
    adjustment: Adjustment,
    reference: str,
    *,
    at: datetime,
    reverses: LedgerEntry | None = None,
) -> None:
    """Write a position's change and, where cash moves with it, its ledger entry."""
    change = adjustment.change
    effect = change.effect
    if effect.cost or effect.margin or effect.realised:
        funds, postings = ledger.fill(
            effect=effect, funds=booking.funds_of(portfolio), keep=portfolio.reserved
        )
        entry = booking.NewEntry(
            portfolio=portfolio,
            kind=LedgerEntry.Kind.REVERSAL if reverses else LedgerEntry.Kind.CORPORATE_ACTION,
            reference=_entry_name(action, position, reference),
            description=english(action.record("fraction", product=position.product)),
            postings=postings,
            funds=funds,
            occurred_at=at,
            reverses=reverses,
        )
        booking.store_entries([booking.book_entry(entry)])
    PositionChange.objects.create(
        position=position,
        kind=PositionChange.Kind.CORPORATE_ACTION,
        reference=reference,
        ledger_seq=portfolio.entry_seq,
        price=action.unit_price,
        quantity=change.quantity,
        cost=change.cost,
        margin=change.margin,
        realised=change.realised,
        inputs={"before": position.quantity, "fraction": str(adjustment.fraction)},
        occurred_at=at,
    )
    _move(position, change, at=at)


def _move(position: Position, change: positions.Change, *, at: datetime) -> None:
    before = position.quantity
    book = positions.change(booking.book_of(position), change)
    if before:
        settled = position.settled_quantity * book.quantity // before
        position.settled_quantity = max(0, min(book.quantity, settled))
    booking.take_book(position, book)
    position.updated_at = at
    position.save()


def _book_dividend(action: CorporateAction, step: CorporateActionStep, *, at: datetime) -> None:
    """Credit the dividend; a short pays it."""
    if not step.cash:
        return
    portfolio = step.portfolio
    funds, postings = ledger.dividend(
        amount=step.cash, funds=booking.funds_of(portfolio), keep=portfolio.reserved
    )
    entry = booking.NewEntry(
        portfolio=portfolio,
        kind=LedgerEntry.Kind.DIVIDEND,
        reference=f"action:{action.pk}",
        description=english(action.record("paid", quantity=step.units)),
        postings=postings,
        funds=funds,
        occurred_at=at,
    )
    booking.store_entries([booking.book_entry(entry)])


def _take_dividend_back(
    action: CorporateAction, portfolio: Portfolio, cash: Decimal, *, at: datetime
) -> None:
    """The dividend leaves again; what is no longer there in cash becomes debt."""
    if not cash:
        return
    funds, postings = ledger.dividend(
        amount=-cash, funds=booking.funds_of(portfolio), keep=portfolio.reserved
    )
    entry = booking.NewEntry(
        portfolio=portfolio,
        kind=LedgerEntry.Kind.REVERSAL,
        reference=f"action:{action.pk}:reversed",
        description=english(action.record("reversed")),
        postings=postings,
        funds=funds,
        occurred_at=at,
        reverses=LedgerEntry.objects.get(portfolio=portfolio, reference=f"action:{action.pk}"),
    )
    booking.store_entries([booking.book_entry(entry)])


def _turn_back(
    action: CorporateAction,
    portfolio: Portfolio,
    scales: Mapping[int, contracts.Scale],
    *,
    at: datetime,
) -> None:
    for position in _positions(action, portfolio):
        found = position.changes.filter(reference=f"action:{action.pk}").first()
        if found is None:
            continue
        reverses = LedgerEntry.objects.filter(
            portfolio=portfolio,
            reference=_entry_name(action, position, f"action:{action.pk}"),
        ).first()
        if _untouched_since(position, found):
            change = positions.Change(
                quantity=-found.quantity,
                cost=-found.cost,
                margin=-found.margin,
                realised=-found.realised,
            )
            adjustment = Adjustment(change, Fraction(0), ZERO)
        else:
            back, unit = scales[position.instrument_id].back, action.unit_price
            if unit is not None:
                unit = unit * back.factor.denominator / back.factor.numerator
            adjustment = _change_of(action, position, back, position.quantity, unit)
            reverses = None
        reference = f"action:{action.pk}:reversed"
        _book_change(action, portfolio, position, adjustment, reference, at=at, reverses=reverses)


def _untouched_since(position: Position, change: PositionChange) -> bool:
    later = position.changes.filter(pk__gt=change.pk).exists()
    traded = Fill.objects.filter(
        order__portfolio_id=position.portfolio_id,
        order__instrument_id=position.instrument_id,
        order__product=position.product,
        ledger_seq__gt=change.ledger_seq,
    ).exists()
    return not later and not traded
