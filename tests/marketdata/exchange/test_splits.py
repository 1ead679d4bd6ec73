"""A split of the simulated market: prices divide, indices stand, and a restart remembers."""

from pathlib import Path

import msgspec
import pytest

from marketdata import universe
from marketdata.exchange import hours, listing
from marketdata.exchange.envelope import Refusal
from marketdata.exchange.prices import Market
from marketdata.exchange.requests import Request
from marketdata.exchange.splits import Splits

KEY = "NSE_EQ|INE009A01021"  # Infosys
AT_MS = 1_795_497_600_000


def market() -> Market:
    listings = listing.from_universe(universe.load())
    return Market(
        listings=[row for row in listings if row.is_index or row.key == KEY],
        seed=1,
        hours=hours.hours(),
    )


def ask(splits: Splits, method: str, **body: object) -> None:
    splits.control(
        Request(
            method=method, path="/simulator/splits", query={}, headers={},
            body=msgspec.json.encode(body), now_ms=AT_MS,
        )
    )  # fmt: skip


def test_prices_divide_and_indices_stand(tmp_path: Path) -> None:
    plain, split = market(), market()
    splits = Splits(split, tmp_path / "exchange" / "splits.json")
    for _ in range(2):  # the same id again changes nothing
        ask(splits, "POST", id="action:1", key=KEY, numerator=5, denominator=1)
    row = split.rows[KEY]
    before, after = plain.state(AT_MS), split.state(AT_MS)
    assert after.last[row] == pytest.approx(before.last[row] / 5, abs=split.tick[row])
    assert after.previous_close[row] == pytest.approx(before.previous_close[row] / 5, abs=0.1)
    assert after.last[split.is_index] == pytest.approx(before.last[plain.is_index], rel=1e-3)
    assert after.volume[row] == pytest.approx(before.volume[row] * 5, rel=1e-3)

    restarted = market()
    again = Splits(restarted, tmp_path / "exchange" / "splits.json")
    assert (restarted.state(AT_MS).last == after.last).all()
    ask(again, "DELETE", id="action:1")
    assert (restarted.state(AT_MS).last == before.last).all()


def test_what_is_no_split_is_refused(tmp_path: Path) -> None:
    splits = Splits(market(), tmp_path / "splits.json")
    with pytest.raises(Refusal):
        ask(splits, "POST", id="x", key=KEY, numerator=0, denominator=1)
    with pytest.raises(Refusal):
        ask(splits, "POST", id="x", key=KEY, ratio="5:1")
    ask(splits, "POST", id="x", key="NSE_EQ|NONE", numerator=2, denominator=1)
    assert not (tmp_path / "splits.json").exists()
