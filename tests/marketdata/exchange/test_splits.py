"""A split of the simulated market: prices divide, indices stand, contracts keep their keys with
new terms, and a restart remembers."""

import itertools
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest
import requests

from marketdata import instruments, universe
from marketdata.exchange import contracts, hours, listing
from marketdata.exchange.app import SPLITS
from marketdata.exchange.contracts import Contract
from marketdata.exchange.envelope import Refusal
from marketdata.exchange.listing import Split
from marketdata.exchange.prices import Market
from marketdata.exchange.requests import Request
from marketdata.exchange.simulated import SimulatedSource
from marketdata.exchange.splits import Splits, kept
from mockmarket.core.clock import IST
from tests.support.exchange import exchange, heard
from tests.support.waiting import eventually

KEY = "NSE_EQ|INE009A01021"  # Infosys
AT_MS = 1_795_497_600_000  # Tuesday 2026-11-24, 10:30 in India
TODAY = date(2026, 11, 24)
FIVE = {"id": "action:1", "key": KEY, "numerator": 5, "denominator": 1}


def source(timetable: hours.Hours = hours.ALWAYS, **kwargs: Any) -> SimulatedSource:
    """Indices and Infosys."""
    listings = listing.from_universe(universe.load())
    market = Market(
        listings=[row for row in listings if row.is_index or row.key == KEY],
        seed=1,
        hours=timetable,
    )
    lively = {"tick_rate": 10.0, "beat_ms": 20, "started_ms": AT_MS, **kwargs}
    return SimulatedSource(market=market, seed=1, **lively)


def ask(splits: Splits, method: str, *, now_ms: int = AT_MS, **body: object) -> None:
    splits.control(
        Request(
            method=method, path=SPLITS, query={}, headers={},
            body=msgspec.json.encode(body), now_ms=now_ms,
        )
    )  # fmt: skip


def test_prices_divide_and_indices_stand(tmp_path: Path) -> None:
    plain, split = source().market, source()
    splits = Splits(split, tmp_path / "exchange" / "splits.json")
    for _ in range(2):  # the same id again changes nothing
        ask(splits, "POST", **FIVE)
    row = split.market.rows[KEY]
    before, after = plain.state(AT_MS), split.market.state(AT_MS)
    tick = split.market.tick[row]
    assert after.last[row] == pytest.approx(before.last[row] / 5, abs=tick)
    assert after.previous_close[row] == pytest.approx(before.previous_close[row] / 5, abs=0.1)
    assert after.last[plain.is_index] == pytest.approx(before.last[plain.is_index], rel=1e-3)
    assert after.volume[row] == pytest.approx(before.volume[row] * 5, rel=1e-3)

    restarted = source()
    again = Splits(restarted, tmp_path / "exchange" / "splits.json")
    assert (restarted.market.state(AT_MS).last == after.last).all()
    ask(again, "DELETE", id="action:1")
    assert (restarted.market.state(AT_MS).last == before.last).all()


def test_what_is_no_split_is_refused(tmp_path: Path) -> None:
    splits = Splits(source(), tmp_path / "splits.json")
    with pytest.raises(Refusal):
        ask(splits, "POST", id="x", key=KEY, numerator=0, denominator=1)
    with pytest.raises(Refusal):
        ask(splits, "POST", id="x", key=KEY, ratio="5:1")
    ask(splits, "POST", id="x", key="NSE_EQ|NONE", numerator=2, denominator=1)
    assert not (tmp_path / "splits.json").exists()


# --- its futures and options ---------------------------------------------------------------
def of_infosys(market: Market, day: date) -> dict[str, Contract]:
    found = contracts.listed(market, day)
    return {one.listing.key: one for one in found if one.underlying.key == KEY}


def split_on(market: Market, *days: date | None, numerator: int = 5, denominator: int = 1) -> None:
    market.put_splits(
        [Split(str(n), KEY, numerator, denominator, day) for n, day in enumerate(days)]
    )


def test_contracts_go_on_under_their_keys_on_the_wire(tmp_path: Path) -> None:
    market = source(started_ms=0)
    with exchange(market, splits=Splits(market, tmp_path / "splits.json")) as server:

        def rows() -> dict[str, Any]:
            url = f"{server.rest_url}/market-quote/instruments/exchange/NSE.json.gz"
            body = requests.get(url, timeout=20).content
            parsed = instruments.parse(body, segments={"NSE_FO"})
            return {row.key: row for row in parsed.rows if row.underlying_key == KEY}

        def price(key: str) -> float:
            answer = requests.get(
                f"{server.rest_url}/v3/market-quote/option-greek",
                params={"instrument_key": key},
                headers={"Authorization": "Bearer any"},
                timeout=20,
            )
            (found,) = orjson.loads(answer.content)["data"].values()
            return float(found["last_price"])

        before = rows()
        calls = sorted(
            (row.strike_price, key) for key, row in before.items() if row.instrument_type == "CE"
        )
        middle = calls[len(calls) // 2][1]
        old = price(middle)
        with heard(server, middle) as frames:
            eventually(lambda: list(frames), seconds=20)
            requests.post(server.rest_url + SPLITS, json=FIVE, timeout=20).raise_for_status()
            seen = len(frames)
            ticks = eventually(lambda: [t for f in frames[seen + 1 :] for t in f.ticks], seconds=20)
        after = rows()
    assert ticks[0].last_price == pytest.approx(old / 5, rel=0.1, abs=0.1)
    assert after.keys() == before.keys()
    for key, row in before.items():
        now = after[key]
        assert (now.lot_size, now.freeze_quantity) == (5 * row.lot_size, 5 * row.freeze_quantity)
        if row.strike_price is not None:
            assert now.strike_price == row.strike_price / 5
            shown = f" {now.strike_price.normalize():f} "
            assert now.symbol == row.symbol.replace(f" {row.strike_price.normalize():f} ", shown)


@pytest.mark.parametrize(("numerator", "denominator"), [(5, 1), (4, 3), (1, 2), (3, 1)])
def test_contracts_stay_until_they_expire_with_the_terms_of_the_product(
    numerator: int, denominator: int
) -> None:
    """Each strike rounds to 5 paise as the product rounds it; each day lists what lives."""
    market, factor = source().market, Fraction(numerator, denominator)
    before = of_infosys(market, TODAY - timedelta(days=1))
    split_on(market, TODAY - timedelta(days=1), numerator=numerator, denominator=denominator)
    for later in (-1, 0, 1, 10, 35):
        day = TODAY + timedelta(days=later)
        now = of_infosys(market, day)
        assert {key for key, one in before.items() if one.expiry >= day} <= now.keys()
    now = of_infosys(market, TODAY)
    for key, old in before.items():
        assert now[key].listing.lot == int(old.listing.lot * factor)
        assert now[key].strike == pytest.approx(float(old.strike / factor), abs=0.0251)


def test_an_expiry_first_listed_after_the_split_has_a_grid_of_its_own() -> None:
    market = source().market
    before = of_infosys(market, TODAY)
    split_on(market, TODAY)
    now = of_infosys(market, TODAY + timedelta(days=1))
    fresh = [one for key, one in now.items() if key not in before and one.expiry.month == 1]
    assert {one.listing.lot for one in fresh} == {5 * 400}
    strikes = sorted({one.strike for one in fresh if one.strike})
    assert {b - a for a, b in itertools.pairwise(strikes)} == {2.5}
    spot = market.previous_close(market.rows[KEY], TODAY + timedelta(days=1))
    assert strikes[0] < spot < strikes[-1]


def test_two_splits_of_one_share_and_the_way_back() -> None:
    market = source().market
    before = of_infosys(market, TODAY)
    split_on(market, TODAY, TODAY)
    twice = of_infosys(market, TODAY)
    assert twice.keys() == before.keys()
    assert all(twice[key].strike == old.strike / 25 for key, old in before.items())
    market.put_splits([])
    assert of_infosys(market, TODAY) == before


def test_a_split_from_before_days_were_noted_lists_contracts_anew(tmp_path: Path) -> None:
    path = tmp_path / "splits.json"
    path.write_bytes(msgspec.json.encode([FIVE]))
    (old,) = kept(path)
    assert old.day is None
    market = source().market
    market.put_splits([old])
    assert {one.listing.lot for one in of_infosys(market, TODAY).values()} == {5 * 400}


def test_the_night_before_belongs_to_the_old_terms(tmp_path: Path) -> None:
    """By NSE's hours a market that has not opened yet still lists the session before."""
    night_ms = round(datetime(2026, 11, 25, 0, 1, tzinfo=IST).timestamp() * 1000)
    market = source(hours.NSE)
    splits = Splits(market, tmp_path / "splits.json")
    held = of_infosys(market.market, TODAY - timedelta(days=1))
    ask(splits, "POST", now_ms=night_ms, **FIVE)
    (told,) = kept(tmp_path / "splits.json")
    assert told.day == date(2026, 11, 23)  # Tuesday the 24th is a holiday
    now = market.board(now_ms=night_ms + 12 * 3_600_000)
    assert {key for key, one in held.items() if one.expiry > TODAY} <= now.rows.keys()
