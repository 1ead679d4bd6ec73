"""Charges to the paisa: four worked examples, and parts that sum to the whole."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading import charges, tariffs

SCHEDULES = {
    (kind, effective): charges.Schedule.parse({**tariffs.COMMON, **rates})
    for kind, effective, rates in tariffs.ROWS
}
NOW = date(2026, 4, 1)


def round_trip(kind: str, quantity: int, bought: str, sold: str) -> Decimal:
    schedule = SCHEDULES[kind, NOW]
    paid = charges.of_order(schedule, buy=True, turnover=quantity * Decimal(bought))
    back = charges.of_order(schedule, buy=False, turnover=quantity * Decimal(sold))
    return paid.total + back.total


@pytest.mark.parametrize(
    ("kind", "quantity", "bought", "sold", "total"),
    [
        ("DELIVERY", 5000, "1000", "1000", "11124.06"),
        ("INTRADAY", 100, "1000", "1000", "82.68"),
        ("FUTURES", 65, "25000", "25000", "966.22"),
        ("OPTIONS", 65, "100", "120", "65.11"),
    ],
)
def test_worked_examples(kind: str, quantity: int, bought: str, sold: str, total: str) -> None:
    assert round_trip(kind, quantity, bought, sold) == Decimal(total)


def test_depository_charge_on_a_delivery_sale() -> None:
    schedule = SCHEDULES["DELIVERY", NOW]
    without = charges.of_order(schedule, buy=False, turnover=Decimal(10_000))
    with_it = charges.of_order(schedule, buy=False, turnover=Decimal(10_000), depository=True)
    assert with_it.total - without.total == Decimal("15.93")  # 13.50 and 18 % on it


@given(
    kind=st.sampled_from(["DELIVERY", "INTRADAY", "FUTURES", "OPTIONS"]),
    buy=st.booleans(),
    depository=st.booleans(),
    fills=st.lists(
        st.tuples(st.integers(1, 10_000), st.integers(1, 2_000_000)), min_size=1, max_size=8
    ),
)
def test_fills_sum_to_the_charge_of_the_order(
    kind: str, buy: bool, depository: bool, fills: list[tuple[int, int]]
) -> None:
    schedule = SCHEDULES[kind, NOW]
    turnover = total = Decimal(0)
    lines = dict.fromkeys(charges.LINES, Decimal(0))
    for quantity, paise in fills:
        after = turnover + quantity * Decimal(paise) / 100
        part = charges.of_fill(
            schedule, buy=buy, turnover_before=turnover, turnover_after=after,
            depository=depository,
        )  # fmt: skip
        assert part.total >= 0
        assert sum(part.lines.values()) == part.total
        total += part.total
        lines = {name: lines[name] + part.lines[name] for name in lines}
        turnover = after
    whole = charges.of_order(schedule, buy=buy, turnover=turnover, depository=depository)
    assert total == whole.total
    assert lines == whole.lines


def test_unknown_and_negative_rates_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown rates"):
        charges.Schedule.parse({"stt": "1"})
    with pytest.raises(ValueError, match="sebi_percent was -1"):
        charges.Schedule.parse({"sebi_percent": "-1"})


@pytest.mark.parametrize(
    ("effective", "tax"), [(date(2024, 10, 1), "9.79"), (date(2026, 4, 1), "11.75")]
)
def test_exercise_is_taxed_on_the_intrinsic_value_by_date(effective: date, tax: str) -> None:
    # 65 x 120.55 = 7,835.75 at 0.125 % and 0.15 %
    value = Decimal(65) * Decimal("120.55")
    found = charges.of_exercise(SCHEDULES["OPTIONS", effective], value=value)
    assert found.total == Decimal(tax)
    assert found.lines["stt"] == found.total == sum(found.lines.values())
