"""A share's futures and options follow its split or bonus: lots multiply, strikes divide.

The contract keeps its key. A strike is rounded to the exchange's step of 5 paise, a lot to whole
units; what a position has beyond whole lots is paid out in cash. On a real exchange the morning's
instrument file says the same of the contracts that it still lists, and is believed: an action that
is booked late leaves those rows as they are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet

from marketdata.models import Instrument
from mockmarket.core.clock import IST
from trading.models import CorporateAction

STRIKE_STEP: Final = Decimal("0.05")
# By then the exchange's file of the ex-date has been read.
FILE_READ_AFTER: Final = timedelta(hours=8)

Kept = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scale:
    """How an instrument changes: prices divide by `factor`, quantities go from whole lots of one
    size to the same number of the other; a share's lots are single units times `factor`."""

    instrument: Instrument
    factor: Fraction
    lots: tuple[int, int] | None = None

    def quantity(self, before: int) -> int:
        """Whole units (of whole lots) after, towards zero."""
        if self.lots is None:
            return int(before * self.factor)
        return int(Fraction(before, self.lots[0])) * self.lots[1]

    @property
    def back(self) -> "Scale":
        """The way back."""
        lots = None if self.lots is None else (self.lots[1], self.lots[0])
        return Scale(self.instrument, 1 / self.factor, lots)


def of_share(share: Instrument, *, on: date) -> QuerySet[Instrument]:
    """The contracts on a share that live on a day."""
    found = Instrument.objects.filter(
        underlying_key=share.key, segment__endswith="_FO", expiry_date__gte=on
    )
    return found.order_by("pk")


def adjust(
    *, action: CorporateAction, factor: Fraction, begins: datetime, at: datetime
) -> list[Kept]:
    """Give every contract its new terms; what they were and are, for positions and for the way
    back."""
    told = settings.MARKET_SOURCE != "simulated" and at >= begins + FILE_READ_AFTER
    kept: list[Kept] = []
    for row in of_share(action.instrument, on=action.ex_date).select_for_update():
        if told and row.active:
            before_lot = max(1, round(row.lot_size / factor))
            kept.append({"id": row.pk, "lots": [before_lot, row.lot_size]})
            continue
        before = _terms(row)
        row.lot_size = max(1, int(row.lot_size * factor))
        row.freeze_quantity = int(row.freeze_quantity * factor)
        if row.strike_price is not None:
            strike = _strike(row.strike_price, factor)
            row.symbol = row.symbol.replace(_shown(row.strike_price), _shown(strike), 1)
            row.strike_price = strike
        row.save(update_fields=["lot_size", "freeze_quantity", "strike_price", "symbol"])
        lots = [before["lot_size"], row.lot_size]
        kept.append({"id": row.pk, "lots": lots, "before": before, "after": _terms(row)})
    return kept


def restore(*, kept: Sequence[Kept], at: datetime) -> None:
    """Undo `adjust`, except where the terms have been changed since or the contract has expired:
    what it settled at was reckoned by them."""
    today = at.astimezone(IST).date()
    for one in kept:
        row = Instrument.objects.select_for_update().get(pk=one["id"])
        expired = row.expiry_date is not None and row.expiry_date < today
        if "before" not in one or expired or _terms(row) != one["after"]:
            continue
        before = one["before"]
        row.lot_size, row.freeze_quantity = before["lot_size"], before["freeze_quantity"]
        row.symbol = before["symbol"]
        if before["strike_price"] is not None:
            row.strike_price = Decimal(before["strike_price"])
        row.save(update_fields=["lot_size", "freeze_quantity", "strike_price", "symbol"])


def scales(action: CorporateAction, factor: Fraction) -> list[Scale]:
    """The share and its contracts, each with how it changes."""
    rows = Instrument.objects.in_bulk([one["id"] for one in action.contracts])
    return [
        Scale(action.instrument, factor),
        *(
            Scale(rows[one["id"]], factor, (one["lots"][0], one["lots"][1]))
            for one in action.contracts
        ),
    ]


def concerned(action: CorporateAction) -> Iterable[int]:
    """Ids of the share and the contracts that the action has changed."""
    return [action.instrument_id, *(one["id"] for one in action.contracts)]


def _terms(row: Instrument) -> Kept:
    strike = row.strike_price
    return {
        "symbol": row.symbol,
        "lot_size": row.lot_size,
        "freeze_quantity": row.freeze_quantity,
        "strike_price": None if strike is None else f"{strike.normalize():f}",
    }


def _strike(strike: Decimal, factor: Fraction) -> Decimal:
    steps = strike * factor.denominator / factor.numerator / STRIKE_STEP
    return max(STRIKE_STEP, steps.to_integral_value(ROUND_HALF_UP) * STRIKE_STEP)


def _shown(strike: Decimal) -> str:
    return f" {strike.normalize():f} "
