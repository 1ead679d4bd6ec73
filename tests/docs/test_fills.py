"""docs/students/fills.md: what the table of worked orders says is what the matcher does."""

import re
from decimal import Decimal
from pathlib import Path

import pytest
from django.conf import settings

from marketdata.quotes import Level
from trading.matching import Decision, Market, Settings, Working, match

PAGE = (Path(settings.BASE_DIR) / "docs" / "students" / "fills.md").read_text()
WORKED = PAGE.split("{ #worked }")[1].split("\n## ")[0]
NOW = 1_800_000_000_000


def table(heading: str) -> list[list[str]]:
    lines = WORKED.split(heading)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def side(column: int) -> tuple[Level, ...]:
    book = table("| bid | quantity | ask | quantity |")
    return tuple(Level(Decimal(r[column]), int(r[column + 1])) for r in book if r[column])


def decide(text: str) -> tuple[Working, Decision]:
    """What the matcher does with an order as the table names it."""
    said = re.match(r"(buy|sell) ([\d,]+)", text)
    limit, trigger = re.search(r"limit ([\d.]+)", text), re.search(r"stop at ([\d.]+)", text)
    assert said
    buy = said[1] == "buy"
    bids, asks = side(0), side(2)
    last = re.search(r"last trade was at ₹([\d.]+)", WORKED)
    assert last
    order = Working(
        buy=buy, quantity=int(said[2].replace(",", "")), filled=0,
        limit=Decimal(limit[1]) if limit else None, market=limit is None,
        ioc="immediate or cancel" in text,
        trigger=Decimal(trigger[1]) if trigger else None, armed=True,
    )  # fmt: skip
    market = Market(
        instrument_key="NSE_EQ|ACME", tick_size=Decimal("0.05"), phase="CONTINUOUS",
        source="stream", received_ms=NOW - 100, exchange_ms=NOW - 150, last_price=Decimal(last[1]),
        volume=10_000, bids=bids, asks=asks, book_received_ms=NOW - 100,
    )  # fmt: skip
    return order, match(
        order=order, market=market, offers=asks if buy else bids, traded=0,
        settings=Settings(), now_ms=NOW,
    )  # fmt: skip


@pytest.mark.parametrize("row", table("| your order | what happens |"), ids=lambda row: row[0])
def test_the_worked_orders(row: list[str]) -> None:
    text, happens = row
    order, decision = decide(text)
    if happens.startswith("nothing now"):
        assert not decision.matches
        assert decision.resting == (order.trigger is None)
        return
    told = [(int(q), Decimal(p)) for q, p in re.findall(r"(\d+) at (\d+\.\d\d)(?![\d])", happens)]
    left = order.quantity - decision.quantity
    rests = re.search(r"(\d+) stand in the market at ([\d.]+)", happens)
    assert told == [(fill.quantity, fill.price) for fill in decision.matches]
    assert bool(rests) == decision.resting
    if rests:
        assert (int(rests[1]), Decimal(rests[2])) == (left, order.limit)
    assert ("cancelled" in happens) == bool(decision.cancel)
    if tail := re.search(r"(\d+) (?:wait|are cancelled)", happens):
        assert int(tail[1]) == left
    else:
        assert left == 0 or rests
    if mean := re.search(r"₹([\d.]+) on average", happens):
        paid = sum(fill.price * fill.quantity for fill in decision.matches)
        assert Decimal(mean[1]) == (paid / order.quantity).quantize(Decimal("0.0001"))
