"""What a fill costs: brokerage, taxes and fees, exact to the paisa. Pure.

One rounding rule: the exact lines of an order are added up and the total is rounded half up to
the paisa, once. Each line is then shown in whole paise by largest remainder, so that the lines
add up to the total. A fill of an order filled in parts costs the total after it less the total
before it, so the parts of an order always sum to the charge of the whole; the brokerage cap of
an order is one cap, however many fills it took.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_FLOOR, Decimal

from mockmarket.core.money import PAISA, ZERO, money

DELIVERY = "DELIVERY"
INTRADAY = "INTRADAY"
FUTURES = "FUTURES"
OPTIONS = "OPTIONS"

LINES = ("brokerage", "stt", "exchange", "sebi", "stamp_duty", "gst", "depository")

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Rates in percent of turnover, amounts in rupees.

    An order's brokerage is `brokerage_percent` of its turnover up to `brokerage_max`; where the
    percentage is zero it is `brokerage_max` flat. `depository` is charged on the first delivery
    sale of a share on a day, `stt_exercise_percent` on the intrinsic value that a held option
    expires with.
    """

    brokerage_percent: Decimal = ZERO
    brokerage_max: Decimal = ZERO
    stt_buy_percent: Decimal = ZERO
    stt_sell_percent: Decimal = ZERO
    stt_exercise_percent: Decimal = ZERO
    exchange_percent: Decimal = ZERO
    sebi_percent: Decimal = ZERO
    stamp_buy_percent: Decimal = ZERO
    gst_percent: Decimal = ZERO
    depository: Decimal = ZERO

    @classmethod
    def parse(cls, rates: Mapping[str, str]) -> "Schedule":
        """A schedule from text decimals. Raises ValueError for an unknown or negative rate."""
        known = {field.name for field in fields(cls)}
        unknown = set(rates) - known
        if unknown:
            raise ValueError(f"unknown rates {sorted(unknown)}")
        values = {name: Decimal(text) for name, text in rates.items()}
        for name, value in values.items():
            if not value.is_finite() or value < 0:
                raise ValueError(f"{name} was {value}")
        return cls(**values)

    def as_json(self) -> dict[str, str]:
        """The rates as `parse` reads them."""
        return {field.name: str(getattr(self, field.name)) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Charges:
    """A total and its lines, in rupees; the lines sum to the total."""

    total: Decimal
    lines: dict[str, Decimal]

    def __sub__(self, other: "Charges") -> "Charges":
        lines = {name: self.lines[name] - other.lines[name] for name in LINES}
        return Charges(self.total - other.total, lines)


NONE = Charges(ZERO, dict.fromkeys(LINES, ZERO))


def kind_of(*, instrument_type: str, product: str) -> str:
    """Which schedule an order falls under."""
    if instrument_type == "FUT":
        return FUTURES
    if instrument_type in {"CE", "PE"}:
        return OPTIONS
    return INTRADAY if product == "MIS" else DELIVERY


def of_order(
    schedule: Schedule, *, buy: bool, turnover: Decimal, depository: bool = False
) -> Charges:
    """The charges of an order that filled `turnover` rupees (unrounded) in all."""
    if not turnover:
        return NONE
    exact = _exact_lines(schedule, buy=buy, turnover=turnover, depository=depository)
    total = money(sum(exact.values(), Decimal(0)))
    return Charges(total, _allot(exact, total))


def of_fill(
    schedule: Schedule,
    *,
    buy: bool,
    turnover_before: Decimal,
    turnover_after: Decimal,
    depository: bool = False,
) -> Charges:
    """The charges of one fill of an order: after it less before it.

    `depository` says whether the order carries the depository charge; its first fill pays it.
    """
    after = of_order(schedule, buy=buy, turnover=turnover_after, depository=depository)
    before = of_order(schedule, buy=buy, turnover=turnover_before, depository=depository)
    return after - before


def of_exercise(schedule: Schedule, *, value: Decimal) -> Charges:
    """What the holder of an option that expires worth `value` rupees pays: the tax on it.

    The exchange settles it by itself, so there is no order, and no brokerage and fee of one.
    """
    total = money(value * schedule.stt_exercise_percent / _HUNDRED)
    return Charges(total, {**NONE.lines, "stt": total})


def _exact_lines(
    schedule: Schedule, *, buy: bool, turnover: Decimal, depository: bool
) -> dict[str, Decimal]:
    def percent(rate: Decimal) -> Decimal:
        return turnover * rate / _HUNDRED

    brokerage = schedule.brokerage_max
    if schedule.brokerage_percent:
        brokerage = min(brokerage, percent(schedule.brokerage_percent))
    exchange = percent(schedule.exchange_percent)
    sebi = percent(schedule.sebi_percent)
    held = schedule.depository if depository and not buy else ZERO
    return {
        "brokerage": brokerage,
        "stt": percent(schedule.stt_buy_percent if buy else schedule.stt_sell_percent),
        "exchange": exchange,
        "sebi": sebi,
        "stamp_duty": percent(schedule.stamp_buy_percent) if buy else ZERO,
        "gst": (brokerage + exchange + sebi + held) * schedule.gst_percent / _HUNDRED,
        "depository": held,
    }


def _allot(exact: Mapping[str, Decimal], total: Decimal) -> dict[str, Decimal]:
    """Lines in whole paise that sum to `total`: floors first, then the largest remainders."""
    floors = {name: value.quantize(PAISA, rounding=ROUND_FLOOR) for name, value in exact.items()}
    left = int((total - sum(floors.values(), ZERO)) / PAISA)
    by_remainder = sorted(LINES, key=lambda name: (floors[name] - exact[name], LINES.index(name)))
    for name in by_remainder[:left]:
        floors[name] += PAISA
    return floors
