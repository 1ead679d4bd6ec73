"""The worked examples and the rates of docs/students/charges.md are the product's own."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from trading import charges, tariffs

PAGE = (Path(settings.BASE_DIR) / "docs" / "students" / "charges.md").read_text()
NOW = date(2026, 4, 1)
KINDS = (charges.DELIVERY, charges.INTRADAY, charges.FUTURES, charges.OPTIONS)
SCHEDULES = {
    kind: charges.Schedule.parse({**tariffs.COMMON, **rates})
    for kind, effective, rates in tariffs.ROWS
    if effective == NOW
}


def rows(section: str) -> list[list[str]]:
    """The cells of the table below the heading with this anchor, without emphasis."""
    text = PAGE.split(f"{{ #{section} }}")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]


def shown(amount: Decimal) -> str:
    return f"{amount:.2f}"


def test_the_page_is_of_the_newest_rates() -> None:
    assert max(effective for _kind, effective, _rates in tariffs.ROWS) == NOW


def percent(cell: str) -> Decimal:
    found = re.search(r"([\d.]+) %", cell)
    return Decimal(found[1]) if found else Decimal(0)


def test_the_table_of_rates() -> None:
    table = {row[0].split(",")[0].split(" (")[0]: row[1:] for row in rows("rates")}
    for column, kind in enumerate(KINDS):
        schedule = SCHEDULES[kind]
        brokerage = table["Brokerage"][column]
        assert percent(brokerage) == schedule.brokerage_percent
        assert Decimal("0" + "".join(re.findall(r"₹(\d+)", brokerage))) == schedule.brokerage_max
        tax = table["Securities transaction tax"][column]
        assert percent(tax) == schedule.stt_sell_percent
        assert ("both" in tax) == (schedule.stt_buy_percent == schedule.stt_sell_percent)
        assert percent(table["Exchange"][column]) == schedule.exchange_percent
        assert percent(table["SEBI"][column]) == schedule.sebi_percent
        assert percent(table["Stamp duty"][column]) == schedule.stamp_buy_percent
        held = table["Depository"][column].removeprefix("₹") or "0"
        assert Decimal(held) == schedule.depository
        assert percent(table["GST on brokerage"][column]) == schedule.gst_percent
    assert f"pays {SCHEDULES[charges.OPTIONS].stt_exercise_percent} %" in PAGE


def test_the_delivery_trade() -> None:
    schedule = SCHEDULES[charges.DELIVERY]
    bought = charges.of_order(schedule, buy=True, turnover=10 * Decimal(1500))
    sold = charges.of_order(schedule, buy=False, turnover=10 * Decimal(1560), depository=True)
    table = rows("delivery")
    names = ("brokerage", "stt", "exchange", "sebi", "stamp_duty", "gst", "depository")
    assert [(row[1], row[3]) for row in table] == [
        *((shown(bought.lines[name]), shown(sold.lines[name])) for name in names),
        (shown(bought.total), shown(sold.total)),
    ]
    both = bought.total + sold.total
    assert f"₹{shown(both)} went to charges, ₹{shown(600 - both)} stay" in PAGE
    assert f"about ₹{both / 10:.0f}," in PAGE


@pytest.mark.parametrize(
    ("kind", "at", "quantity", "bought", "sold"),
    [
        (charges.INTRADAY, 0, 100, "1000", "1000"),
        (charges.FUTURES, 2, 65, "25000", "25000"),
        (charges.OPTIONS, 4, 65, "100", "120"),
    ],
)
def test_the_others(kind: str, at: int, quantity: int, bought: str, sold: str) -> None:
    names = ("brokerage", "stt", "exchange", "sebi", "stamp_duty", "gst")
    total = Decimal(0)
    for row, (buy, price) in zip(
        rows("others")[at:], ((True, bought), (False, sold)), strict=False
    ):
        found = charges.of_order(SCHEDULES[kind], buy=buy, turnover=quantity * Decimal(price))
        total += found.total
        assert row[1] == ("buy" if buy else "sell")
        assert row[2:8] == [shown(found.lines[name]) for name in names]
        assert row[8] == shown(found.total)
    assert row[9] == shown(total)


def test_delivery_of_five_thousand() -> None:
    schedule, turnover = SCHEDULES[charges.DELIVERY], 5000 * Decimal(1000)
    both = sum(
        charges.of_order(schedule, buy=buy, turnover=turnover).total for buy in (True, False)
    )
    assert f"₹{both:,.2f}, before" in PAGE
