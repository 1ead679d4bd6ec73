"""Alerts of users: made and removed here, fired by the engine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models import F, QuerySet

from marketdata import selectors as market
from marketdata.models import Instrument
from mockmarket.core import bus, records
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.formats import rupees
from mockmarket.core.models import User
from mockmarket.core.money import price as exact_price
from trading.alerts import Kind, Watch
from trading.models import Alert, AlertEvent

ALERTS_MAX: Final = 50
EVENTS_SHOWN: Final = 100
EVENTS_KEPT: Final = timedelta(days=30)
PERCENT_MAX: Final = Decimal(100)
TIMES_MAX: Final = Decimal(1000)
NOTE_LENGTH_MAX: Final = 120
ALERT: Final = "alert"


class InvalidAlert(DomainError):
    code = "invalid_alert"


class TooManyAlerts(DomainError):
    code = "too_many_alerts"
    status = 409


class AlreadyTrue(DomainError):
    """The price stands beyond the threshold now, so the alert would wait for it to come back."""

    code = "already_true"


@dataclass(frozen=True, slots=True)
class Fired:
    """A firing as the engine saw it; `price` in rupees."""

    alert_id: int
    price: float
    at: datetime


# --- For their owner --------------------------------------------------------------------
def alerts_of(*, user: User) -> QuerySet[Alert]:
    """The user's alerts, newest first."""
    return Alert.objects.filter(user=user).select_related("instrument").order_by("-pk")


def events_of(*, user: User) -> QuerySet[AlertEvent]:
    """What the user's alerts reported, newest first."""
    found = AlertEvent.objects.filter(alert__user=user).select_related("alert__instrument")
    return found.order_by("-fired_at", "-pk")


def create(
    *, user: User, instrument: Instrument, kind: str, threshold: Decimal, note: str, at: datetime
) -> Alert:
    """A new alert, watched by the engine at once.

    Raises InvalidAlert, AlreadyTrue for a price that is beyond the threshold now, TooManyAlerts.
    """
    chosen = _checked(kind=kind, threshold=threshold, note=note)
    quote = market.quote(instrument.key, at)
    last = quote.last_price if quote else None
    beyond = {
        Kind.PRICE_ABOVE: last is not None and last >= threshold,
        Kind.PRICE_BELOW: last is not None and last <= threshold,
    }.get(chosen, False)
    if beyond:
        message = f"{instrument.symbol} stands at {rupees(last)} already."
        raise AlreadyTrue(message, fields={"threshold": message})
    with transaction.atomic():
        # The user's row serialises creations, so that the ceiling holds.
        User.objects.select_for_update().get(pk=user.pk)
        if Alert.objects.filter(user=user, active=True).count() >= ALERTS_MAX:
            raise TooManyAlerts(f"You have {ALERTS_MAX} alerts, the most there may be. Remove one.")
        alert = Alert.objects.create(
            user=user,
            instrument=instrument,
            kind=chosen,
            threshold=Decimal(0) if chosen is Kind.RANGE_BREAKOUT else exact_price(threshold),
            note=note,
            created_at=at,
        )
        bus.wake_engine("alerts")
    return alert


def _checked(*, kind: str, threshold: Decimal, note: str) -> Kind:
    if kind not in Kind.__members__:
        raise InvalidAlert("Choose what to watch.", fields={"kind": "Choose what to watch."})
    chosen = Kind(kind)
    most = {Kind.PERCENT_MOVE: PERCENT_MAX, Kind.VOLUME_SPIKE: TIMES_MAX}.get(chosen)
    wrong = not threshold.is_finite() or threshold <= 0 or (most is not None and threshold > most)
    if chosen is not Kind.RANGE_BREAKOUT and wrong:
        message = "Enter a number above zero." if most is None else f"Enter 0 to {most}."
        raise InvalidAlert(message, fields={"threshold": message})
    if len(note) > NOTE_LENGTH_MAX:
        message = f"Keep the note within {NOTE_LENGTH_MAX} characters."
        raise InvalidAlert(message, fields={"note": message})
    return chosen


def access(*, user: User, alert_id: int) -> Alert:
    """One of the user's own; raises NotFound."""
    found = alerts_of(user=user).filter(pk=alert_id).first()
    if found is None:
        raise NotFound("You have no such alert.")
    return found


def remove(*, user: User, alert_id: int) -> None:
    """Ends an alert; what it reported goes with it. Raises NotFound for others' alerts."""
    with transaction.atomic():
        deleted, _ = Alert.objects.filter(user=user, pk=alert_id).delete()
        if not deleted:
            raise NotFound("You have no such alert.")
        bus.wake_engine("alerts")


# --- For the engine ---------------------------------------------------------------------
def watches() -> dict[str, list[Watch]]:
    """Every active alert by instrument key."""
    found: dict[str, list[Watch]] = {}
    rows = Alert.objects.filter(active=True).values_list(
        "instrument__key", "pk", "kind", "threshold", "armed"
    )
    for key, alert_id, kind, threshold, armed in rows:
        watch = Watch(alert_id, Kind(kind), float(threshold), armed)
        found.setdefault(key, []).append(watch)
    return found


def keep(*, fired: Sequence[Fired], rearmed: Sequence[int], at: datetime) -> int:
    """Keeps what happened and tells the owners; how many firings were new.

    Compare-and-set on `armed` makes a firing happen once, whoever else saw it.
    """
    told: list[tuple[int, str, dict[str, Any]]] = []
    with transaction.atomic():
        Alert.objects.filter(pk__in=rearmed).update(armed=True)
        for one in fired:
            changed = Alert.objects.filter(pk=one.alert_id, active=True, armed=True).update(
                armed=False, fired_at=one.at, fired_count=F("fired_count") + 1
            )
            if changed != 1:
                continue
            alert = Alert.objects.select_related("instrument").get(pk=one.alert_id)
            message = _message(alert, one.price)
            AlertEvent.objects.create(
                alert=alert, fired_at=one.at, price=exact_price(one.price), message=message
            )
            told.append((alert.user_id, ALERT, _payload(alert, one, message)))
        if told:
            bus.publish_many(told, at=at)
    return len(told)


# What an alert's threshold is called in the record of its firing.
_UNITS: Final = {Kind.PERCENT_MOVE: "percent", Kind.VOLUME_SPIKE: "times"}


def _message(alert: Alert, price: float) -> str:
    """The record of a firing."""
    values = {_UNITS.get(Kind(alert.kind), "threshold"): alert.threshold, "price": price}
    return records.record(alert.kind.lower(), **values)


def _payload(alert: Alert, fired: Fired, message: str) -> dict[str, Any]:
    return {
        "alert_id": alert.pk,
        "instrument_key": alert.instrument.key,
        "symbol": alert.instrument.symbol,
        "kind": alert.kind,
        "threshold": float(alert.threshold),
        "price": fired.price,
        "fired_at": fired.at.isoformat(),
        **records.told(message, "happened"),
        "title": f"{alert.instrument.symbol} {records.english(message)}",
        "message": alert.note,
    }


def prune(*, at: datetime) -> int:
    """Forgets what was reported over a month ago."""
    return AlertEvent.objects.filter(fired_at__lt=at - EVENTS_KEPT).delete()[0]
