"""Chains that somebody looks at: recomputed with the spot, published when it has moved."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import orjson
import pytest
from asgiref.sync import sync_to_async

from marketdata.board import Board
from marketdata.options import live, selectors, services
from marketdata.quotes import Tick
from mockmarket.core import bus, clock
from tests.support.options import AT, EXPIRY, SPOT, STRIKES, Exchange, listed_nifty
from tests.support.waiting import eventually_async

TOPIC = live.topic_of("NSE_INDEX|Nifty 50", EXPIRY)
NOW_MS = int(AT.timestamp() * 1000)


@dataclass
class Demand:
    topics: set[str] = field(default_factory=lambda: {TOPIC, "news", "chain|nonsense"})


@dataclass
class Engine:
    """What the desk uses of the market engine."""

    board: Board = field(default_factory=lambda: Board(epoch="test"))
    demand: Demand = field(default_factory=Demand)

    async def in_database(self, work: Any, *args: Any) -> Any:
        return await sync_to_async(work)(*args)

    def tick(self, key: str, price: float, at_ms: int = NOW_MS) -> np.ndarray:
        ticks = [
            Tick(
                instrument_key=key, last_price=price, exchange_ms=at_ms, received_ms=at_ms,
                source="stream",
            )
        ]  # fmt: skip
        return np.array(self.board.merge(ticks), dtype=np.int32)


@pytest.mark.parametrize("text", ["", "chain", "chain|x", "chain|NSE_INDEX|Nifty 50|soon", "news"])
def test_what_is_no_topic_of_a_chain(text):
    assert live.parse_topic(text) is None


def test_a_topic_names_its_chain():
    assert live.parse_topic(TOPIC) == ("NSE_INDEX|Nifty 50", EXPIRY)


@pytest.fixture
def sent(monkeypatch):
    """What goes to the sockets; the clock stands at AT."""
    found: list[dict[str, Any]] = []

    async def send(group: str, message: dict[str, Any]) -> None:
        found.append(message)

    monkeypatch.setattr(bus, "send_async", send)
    monkeypatch.setattr(clock, "now", lambda: AT)
    monkeypatch.setattr(live, "PUBLISH_EVERY_SECONDS", 0.01)
    return found


@pytest.mark.django_db(transaction=True)
async def test_a_followed_chain_follows_the_spot_and_is_silent_while_it_stands(sent):
    nifty = await sync_to_async(listed_nifty)()
    await sync_to_async(services.sweep_chain)(
        source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT
    )
    engine, desk = Engine(), live.ChainDesk()
    engine.tick(nifty.key, SPOT)
    await desk.start(engine)
    try:
        await desk.every_second(engine.board, NOW_MS)
        assert desk.extra_interest() == {nifty.key}
        await until(sent, 1)
        first = orjson.loads(sent[0]["json"])
        assert (sent[0]["topic"], first["spot"]) == (TOPIC, SPOT)
        assert "interest" in first  # just read; the next one, half a minute later, is not
        await asyncio.sleep(0.05)
        assert len(sent) == 1  # nothing moved
        desk.on_ticks(engine.tick("NSE_FO|C24000", 1.0), engine.board, NOW_MS)
        desk.on_ticks(engine.tick(nifty.key, SPOT + 100, NOW_MS + 500), engine.board, NOW_MS + 500)
        await until(sent, 2)
        second = orjson.loads(sent[1]["json"])
        centre = STRIKES.index(24_000.0)
        assert second["spot"] == SPOT + 100
        assert second["calls"]["delta"][centre] > first["calls"]["delta"][centre]
        assert second["figures"]["volatility"] != first["figures"]["volatility"]
        engine.demand.topics.clear()
        await desk.every_second(engine.board, NOW_MS + 1_000)
        assert desk.extra_interest() == set()
    finally:
        await desk.stop()


async def until(sent: list[Any], count: int) -> None:
    await eventually_async(lambda: asyncio.sleep(0, len(sent) >= count), seconds=2)


@pytest.mark.django_db
def test_the_payload_has_the_same_figures_as_the_page():
    nifty = listed_nifty()
    chain = services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    board = Board(epoch="test")
    followed = live._placed(chain, board, NOW_MS)
    current = live.current(chain, followed, board, AT)
    told = orjson.loads(live.payload(current))
    found = selectors.analysis(underlying=nifty, chain=current, at=AT)
    assert told["figures"]["volatility"] == pytest.approx(found.volatility)
    assert told["figures"]["straddle"] == pytest.approx(found.expected_move.straddle)
    assert told["figures"]["blast"] == pytest.approx(found.blast.probability)
    assert "interest" not in told


@pytest.mark.django_db
def test_what_a_sweep_brought_goes_along_until_every_page_has_it():
    nifty = listed_nifty()
    chain = services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    told = orjson.loads(live.payload(chain, interest=True))["interest"]
    assert told["at"] == AT.isoformat()
    assert told["calls"]["open_interest"] == [650.0] * len(STRIKES)
    assert told["puts"]["open_interest_change"] == [50.0] * len(STRIKES)
    assert (told["put_call_ratio_interest"], told["max_pain"]) == (1.0, 24_000.0)
