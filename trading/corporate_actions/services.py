"""Announce, apply and reverse corporate actions. Applying and reversing go portfolio by portfolio
and may be interrupted anywhere: the next call does what is left."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q

from marketdata import selectors as market
from marketdata import storage
from marketdata.models import Instrument, LastPrice
from mockmarket.core import bus, clock
from mockmarket.core.audit import audit
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from mockmarket.core.money import price as exact_price
from portfolios import contests
from portfolios.models import Portfolio, Position
from trading import gtt, lifecycle
from trading.corporate_actions import booking, contracts, exchange, resting
from trading.corporate_actions.arithmetic import DIVIDEND, adjust_plain, factor_of
from trading.models import CorporateAction, Gtt, Order

RATIO_MAX: Final = 1_000
AMOUNT_MAX: Final = Decimal(100_000)
# An action announced later than this after its ex-date is more likely a slip of the year.
LATE_MAX: Final = timedelta(days=31)

# Beyond the age that makes a quote too old, before a halted share trades again.
QUIET: Final = timedelta(seconds=2)
HALT: Final = "A corporate action is being booked."

_S = CorporateAction.Status
log = structlog.get_logger(__name__)


class InvalidAction(DomainError):
    """Terms that make no action; `fields` names what is wrong."""

    code = "invalid_corporate_action"


class ActionExists(DomainError):
    """The share has such an action on that ex-date already."""

    code = "corporate_action_exists"
    status = 409


class ActionNotPossible(DomainError):
    """Its status, or its ex-date, does not allow that now."""

    code = "corporate_action_status"
    status = 409


def announce(
    *,
    instrument: Instrument,
    kind: str,
    ex_date: date,
    numerator: int | None,
    denominator: int | None,
    amount: Decimal | None,
    source: str,
    actor: User | None,
    reason: str,
    at: datetime,
) -> CorporateAction:
    """Note an action; it is applied when its ex-date begins. Raises InvalidAction, ActionExists."""
    dividend = kind == DIVIDEND
    check(instrument, kind, ex_date, numerator, denominator, amount, at=at)
    try:
        with transaction.atomic():
            action = CorporateAction.objects.create(
                instrument=instrument,
                kind=kind,
                ex_date=ex_date,
                numerator=None if dividend else numerator,
                denominator=None if dividend else denominator,
                amount=exact_price(amount) if dividend and amount is not None else None,
                source=source[:200],
                announced_at=at,
            )
            _audit(action, "announce", actor, reason, at=at)
    except IntegrityError:
        raise ActionExists(f"{instrument.symbol} has one on {ex_date} already.") from None
    return action


def cancel(*, action: CorporateAction, actor: User, reason: str, at: datetime) -> None:
    """Withdraw an action that has not begun. Raises ActionNotPossible."""
    with transaction.atomic():
        _move(action, {_S.ANNOUNCED}, _S.CANCELLED)
        _audit(action, "cancel", actor, reason, at=at)


def apply(*, action: CorporateAction, actor: User | None, reason: str, at: datetime) -> int:
    """Book an action whose ex-date has begun; how many portfolios it touched.

    Raises ActionNotPossible before the ex-date, and for what was applied, reversed or cancelled.
    """
    if at < begins(action):
        raise ActionNotPossible(f"Its ex-date is {action.ex_date}; it is applied then.")
    factor = factor_for(action)
    with transaction.atomic():
        _move(action, {_S.ANNOUNCED, _S.APPLYING}, _S.APPLYING)
        if factor is not None:
            _halt(action)
            _adjust_contracts(action, factor, at=at)
        if factor is not None and action.unit_price is None:
            action.unit_price = _unit_price(action, factor, at=at)
            action.save(update_fields=["unit_price"])
    since = begins(action)
    if factor is not None:
        exchange.adjust(action=action, factor=factor)
    touched = sum(
        booking.apply_step(
            action=action, portfolio_id=portfolio_id, factor=factor, since=since, at=at
        )
        for portfolio_id in _concerned(action)
    )
    with transaction.atomic():
        _move(action, {_S.APPLYING}, _S.APPLIED)
        if factor is not None:
            for scale in contracts.scales(action, factor):
                action.alerts += resting.adjust_alerts(
                    instrument=scale.instrument, factor=factor, since=since
                )
                storage.rescale_last_price(instrument=scale.instrument, factor=factor, before=since)
        action.applied_at = at
        action.save(update_fields=["alerts", "applied_at"])
        _audit(action, "apply", actor, reason, at=at, portfolios=touched)
        _wake()
    return touched


def reverse(*, action: CorporateAction, actor: User, reason: str, at: datetime) -> int:
    """Undo an applied action in every portfolio; how many. Raises ActionNotPossible."""
    factor = factor_for(action)
    with transaction.atomic():
        _move(action, {_S.APPLIED, _S.REVERSING}, _S.REVERSING)
        if factor is not None:
            _halt(action)
    steps = action.steps.filter(reversed_at=None).order_by("portfolio_id")
    undone = sum(booking.reverse_step(step=step, factor=factor, at=at) for step in steps)
    if factor is not None:
        exchange.restore(action=action)
    with transaction.atomic():
        _move(action, {_S.REVERSING}, _S.REVERSED)
        resting.restore_alerts(kept=action.alerts)
        if factor is not None:
            for scale in contracts.scales(action, factor):
                storage.rescale_last_price(
                    instrument=scale.instrument, factor=1 / factor, before=action.applied_at or at
                )
            contracts.restore(kept=action.contracts, at=at)
        action.reversed_at = at
        action.save(update_fields=["reversed_at"])
        _audit(action, "reverse", actor, reason, at=at, portfolios=undone)
        _wake()
    return undone


def apply_due(*, at: datetime) -> int:
    """Apply every action whose ex-date has come, oldest first; how many. One failure stops no
    other."""
    resume(at=at)
    today = at.astimezone(clock.IST).date()
    due = CorporateAction.objects.select_related("instrument").filter(
        status__in=[_S.ANNOUNCED, _S.APPLYING], ex_date__lte=today
    )
    count = 0
    for action in due.order_by("ex_date", "pk"):
        try:
            apply(action=action, actor=None, reason="Its ex-date has come.", at=at)
            count += 1
        except DomainError as refusal:
            log.warning("corporate action refused", action=action.pk, why=refusal.message)
    return count


def resume(*, at: datetime) -> int:
    """End the halts of shares whose action was booked and whose old prices have grown too old to
    fill on; how many. A share that staff had halted stays so."""
    quiet = at - QUIET - timedelta(milliseconds=settings.QUOTE_AGE_MS_MAX)
    recent = Q(applied_at__gt=quiet) | Q(reversed_at__gt=quiet)
    busy = CorporateAction.objects.filter(recent | Q(status__in=[_S.APPLYING, _S.REVERSING]))
    ended: int = (
        Instrument.objects.filter(halted=True, halt_reason=HALT)
        .exclude(pk__in=busy.values("instrument_id"))
        .exclude(underlying_key__in=busy.values("instrument__key"))
        .update(halted=False, halt_reason="")
    )
    if ended:
        bus.wake_engine("contests")  # the desk reads every order again
    return ended


def begins(action: CorporateAction) -> datetime:
    """The first instant of the ex-date in India: who holds then is entitled."""
    return datetime.combine(action.ex_date, datetime.min.time(), clock.IST)


def factor_for(action: CorporateAction) -> Fraction | None:
    """Units after the action for each before; None for a dividend."""
    if action.numerator is None or action.denominator is None:
        return None
    return factor_of(kind=action.kind, numerator=action.numerator, denominator=action.denominator)


def check(
    instrument: Instrument,
    kind: str,
    ex_date: date,
    numerator: int | None,
    denominator: int | None,
    amount: Decimal | None,
    *,
    at: datetime,
) -> None:
    """Raise InvalidAction, or ActionExists, for terms that cannot be announced."""

    def refuse(field: str, message: str) -> None:
        raise InvalidAction(message, fields={field: message})

    if not instrument.segment.endswith("_EQ"):
        refuse("instrument", f"{instrument.symbol} is not a share.")
    taken = CorporateAction.objects.filter(instrument=instrument, kind=kind, ex_date=ex_date)
    if taken.exclude(status__in=[_S.CANCELLED, _S.REVERSED]).exists():
        message = f"{instrument.symbol} has one on {ex_date} already."
        raise ActionExists(message, fields={"ex_date": message})
    if kind not in CorporateAction.Kind.values:
        refuse("kind", f"It is one of {', '.join(CorporateAction.Kind.values)}.")
    if ex_date < at.astimezone(clock.IST).date() - LATE_MAX:
        refuse("ex_date", f"It lies more than {LATE_MAX.days} days back.")
    if kind == DIVIDEND:
        if amount is None or not 0 < amount <= AMOUNT_MAX:
            refuse("amount", f"A dividend is above 0 and at most ₹{AMOUNT_MAX} a share.")
        return
    for field, value in (("numerator", numerator), ("denominator", denominator)):
        if value is None or not 1 <= value <= RATIO_MAX:
            refuse(field, f"A whole number from 1 to {RATIO_MAX}.")
    if kind == CorporateAction.Kind.SPLIT and numerator == denominator:
        refuse("numerator", "A split changes the number of shares.")


def _halt(action: CorporateAction) -> None:
    """Orders and prices change at different moments: in between nothing may fill, or an order at
    the new scale meets a price at the old."""
    own = Q(pk=action.instrument_id)
    on_it = Q(pk__in=contracts.of_share(action.instrument, on=action.ex_date).values("pk"))
    Instrument.objects.filter(own | on_it, halted=False).update(halted=True, halt_reason=HALT)
    bus.wake_engine("contests")


def _adjust_contracts(action: CorporateAction, factor: Fraction, *, at: datetime) -> None:
    """Give the share's contracts their new terms, once."""
    if not action.contracts:
        action.contracts = contracts.adjust(
            action=action, factor=factor, begins=begins(action), at=at
        )
        action.save(update_fields=["contracts"])


def _unit_price(action: CorporateAction, factor: Fraction, *, at: datetime) -> Decimal | None:
    """What one share is worth after the action: by the last price from before it."""
    kept = LastPrice.objects.filter(instrument=action.instrument).first()
    quote = market.quote(action.instrument.key, at)
    if quote is not None and quote.last_price is not None and quote.timestamp is not None:
        last, traded_at = quote.last_price, quote.timestamp
    elif kept is not None:
        last, traded_at = kept.last_price, kept.traded_at
    else:
        return None
    # The simulated exchange divides only when it is told, which is after this.
    old = traded_at < begins(action) or settings.MARKET_SOURCE == "simulated"
    return adjust_plain(last, factor) if old else last


def _concerned(action: CorporateAction) -> Iterable[int]:
    """Portfolios that hold the share, or have something waiting on it, in contests that live."""
    on = {"instrument_id__in": contracts.concerned(action)}
    holders = Position.objects.filter(**on).exclude(quantity=0, updated_at__lt=begins(action))
    waiting = Order.objects.filter(**on, status__in=lifecycle.LIVE)
    watching = Gtt.objects.filter(**on, status__in=gtt.LIVE)
    ids = {
        pk
        for found in (holders, waiting, watching)
        for pk in found.values_list("portfolio_id", flat=True)
    }
    found = Portfolio.objects.filter(
        pk__in=ids, left_at__isnull=True, contest__state__in=contests.LIVE
    )
    return found.order_by("pk").values_list("pk", flat=True)


def _move(action: CorporateAction, allowed: set[str], status: str) -> None:
    """Move the locked action on; the caller's object follows. Raises ActionNotPossible."""
    locked = CorporateAction.objects.select_for_update(of=("self",)).get(pk=action.pk)
    if locked.status not in allowed:
        raise ActionNotPossible(f"This action is {locked.get_status_display().lower()}.")
    CorporateAction.objects.filter(pk=action.pk).update(status=status)
    action.refresh_from_db(fields=["status", "unit_price", "alerts", "contracts", "applied_at"])


def _audit(
    action: CorporateAction,
    verb: str,
    actor: User | None,
    reason: str,
    *,
    at: datetime,
    portfolios: int | None = None,
) -> None:
    after: dict[str, object] = {"status": action.status, "terms": str(action)}
    if portfolios is not None:
        after["portfolios"] = portfolios
    audit(
        actor=actor,
        action=f"corporate_action.{verb}",
        target=action,
        reason=reason,
        at=at,
        after=after,
    )


def _wake() -> None:
    """The engine reads orders, alerts, holdings and prices anew."""
    bus.wake_engine("orders")
    bus.wake_engine("alerts")
    bus.wake_engine("corporate_actions")
