"""Open orders, good-till-triggered instructions and alerts follow a split or a bonus.

What was waiting on the morning of the ex-date is adjusted in place: more units at a lower price,
worth no more than before, so that the cash held back still suffices. An order that has filled in
part cannot be adjusted (its fills stand), nor one of which nothing is left: its rest is cancelled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from marketdata.models import Instrument
from mockmarket.core.money import price as exact_price
from mockmarket.core.records import record
from portfolios.models import Portfolio
from trading import gtt as gtts
from trading import lifecycle, services
from trading.corporate_actions.arithmetic import adjust_plain, adjust_price
from trading.corporate_actions.contracts import Scale
from trading.models import Alert, Gtt, Order

# What an action changes of an order and of an instruction, besides its quantity.
ORDER_PRICES = ("price", "trigger_price", "protection_price")
GTT_PRICES = ("lower_trigger", "lower_price", "upper_trigger", "upper_price")
PRICE_ALERTS = (Alert.Kind.PRICE_ABOVE, Alert.Kind.PRICE_BELOW)

Kept = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Terms:
    """The action on one instrument: what was placed before `since` is scaled."""

    scale: Scale
    since: datetime
    at: datetime

    @property
    def instrument(self) -> Instrument:
        return self.scale.instrument


def adjust_orders(*, portfolio: Portfolio, terms: Terms) -> list[Kept]:
    """Adjust the live orders that were placed before `since`; what they were."""
    found = (
        Order.objects.select_for_update(of=("self",))
        .filter(portfolio=portfolio, instrument=terms.instrument, placed_at__lt=terms.since)
        .filter(status__in=lifecycle.LIVE)
        .order_by("pk")
    )
    kept = []
    for order in found:
        order.portfolio, order.instrument = portfolio, terms.instrument
        before = _values(order, ORDER_PRICES)
        if order.filled_quantity or not terms.scale.quantity(order.quantity):
            services.end_order(
                order=order,
                event=lifecycle.Event.CANCEL,
                reason=record("corporate_action"),
                at=terms.at,
            )
            continue
        _adjust(order, ORDER_PRICES, terms.scale, up=not order.buy)
        _save_order(order, at=terms.at)
        kept.append({"id": str(order.pk), "before": before, "after": _values(order, ORDER_PRICES)})
    return kept


def restore_orders(
    *,
    portfolio: Portfolio,
    kept: Sequence[Kept],
    scales: Mapping[int, Scale],
    at: datetime,
) -> None:
    """Undo `adjust_orders` where the order still waits; `scales` are the action's, by instrument
    id."""
    for one in kept:
        order = Order.objects.select_for_update(of=("self",)).get(pk=one["id"])
        if order.status not in lifecycle.LIVE or order.filled_quantity:
            continue
        scale = scales[order.instrument_id]
        order.portfolio, order.instrument = portfolio, scale.instrument
        _restore(order, one, ORDER_PRICES, scale, up=not order.buy)
        _save_order(order, at=at)


def adjust_gtts(*, portfolio: Portfolio, terms: Terms) -> list[Kept]:
    """Adjust the instructions that were made before `since`; what they were."""
    found = (
        Gtt.objects.select_for_update(of=("self",))
        .filter(portfolio=portfolio, instrument=terms.instrument, created_at__lt=terms.since)
        .filter(status__in=gtts.LIVE)
        .order_by("pk")
    )
    kept = []
    for row in found:
        row.portfolio, row.instrument = portfolio, terms.instrument
        if not terms.scale.quantity(row.quantity):
            row.status = Gtt.Status.CANCELLED
            row.status_reason = record("corporate_action")
        else:
            before = _values(row, GTT_PRICES)
            _adjust(row, GTT_PRICES, terms.scale, up=row.side == Order.Side.SELL)
            kept.append({"id": str(row.pk), "before": before, "after": _values(row, GTT_PRICES)})
        row.updated_at = terms.at
        row.save()
    return kept


def restore_gtts(*, kept: Sequence[Kept], scales: Mapping[int, Scale], at: datetime) -> None:
    """Undo `adjust_gtts` where the instruction still waits."""
    for one in kept:
        row = Gtt.objects.select_for_update(of=("self",)).get(pk=one["id"])
        if row.status not in gtts.LIVE:
            continue
        scale = scales[row.instrument_id]
        _restore(row, one, GTT_PRICES, scale, up=row.side == Order.Side.SELL)
        row.updated_at = at
        row.save()


def adjust_alerts(*, instrument: Instrument, factor: Fraction, since: datetime) -> list[Kept]:
    """Adjust the price alerts that were made before `since`; what they were."""
    found = Alert.objects.select_for_update().filter(
        instrument=instrument, active=True, kind__in=PRICE_ALERTS, created_at__lt=since
    )
    kept = []
    for alert in found.order_by("pk"):
        before = alert.threshold
        alert.threshold = adjust_plain(alert.threshold, factor)
        alert.save(update_fields=["threshold"])
        kept.append({"id": alert.pk, "before": str(before), "after": str(alert.threshold)})
    return kept


def restore_alerts(*, kept: Sequence[Kept]) -> None:
    """Undo `adjust_alerts`, except where the alert is gone."""
    for one in kept:
        Alert.objects.filter(pk=one["id"], threshold=one["after"]).update(threshold=one["before"])


def _adjust(row: Order | Gtt, names: Sequence[str], scale: Scale, *, up: bool) -> None:
    row.quantity = scale.quantity(row.quantity)
    tick_size = scale.instrument.tick_size
    for name in names:
        price = getattr(row, name)
        setattr(row, name, adjust_price(price, scale.factor, tick_size=tick_size, up=up))
    if isinstance(row, Order) and row.margin_unit is not None:
        row.margin_unit = adjust_plain(row.margin_unit, scale.factor)


def _restore(row: Order | Gtt, one: Kept, names: Sequence[str], scale: Scale, *, up: bool) -> None:
    """What it was before; where its owner has changed it since, the change turned back too."""
    if _values(row, names) != one["after"]:
        _adjust(row, names, scale.back, up=up)
        row.quantity = max(1 if scale.lots is None else scale.lots[0], row.quantity)
        return
    before = one["before"]
    row.quantity = before["quantity"]
    for name in _kept_names(row, names):
        setattr(row, name, None if before[name] is None else Decimal(before[name]))


def _kept_names(row: Order | Gtt, names: Sequence[str]) -> Sequence[str]:
    return (*names, "margin_unit") if isinstance(row, Order) else names


def _values(row: Order | Gtt, names: Sequence[str]) -> Kept:
    kept: Kept = {"quantity": row.quantity}
    for name in _kept_names(row, names):
        price = getattr(row, name)
        kept[name] = None if price is None else str(exact_price(price))
    return kept


def _save_order(order: Order, *, at: datetime) -> None:
    """A new version: what the engine decided on the old terms is dropped."""
    order.resting = False
    order.version += 1
    order.updated_at = at
    names = ["quantity", *ORDER_PRICES, "margin_unit", "resting", "version", "updated_at"]
    order.save(update_fields=names)
    services.tell(order, at=at)
