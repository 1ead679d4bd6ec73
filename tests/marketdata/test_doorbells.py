"""Doorbells ring together, none is lost, and none waits without a bound."""

import asyncio
from typing import get_args

import msgspec
import pytest

from marketdata.doorbells import FETCHED_MAX, Doorbells
from marketdata.quotes import Tick
from mockmarket.core import bus


def tick(key: str) -> Tick:
    return Tick(
        instrument_key=key, last_price=1.0, last_trade_ms=1, exchange_ms=1, received_ms=1,
        source="rest",
    )  # fmt: skip


def wake(what: str) -> dict[str, object]:
    return {"type": "wake", "what": what}


def quotes(*keys: str) -> dict[str, object]:
    return {"type": "rest.quotes", "payload": msgspec.msgpack.encode([tick(key) for key in keys])}


async def test_one_kind_rings_once_until_it_is_answered() -> None:
    bells = Doorbells()
    for what in ("orders", "orders", "alerts", "orders"):
        bells.hear(wake(what))
    assert await bells.answer() == ([], ["alerts", "orders"])
    bells.hear(wake("orders"))  # while the answer is carried out
    assert await bells.answer() == ([], ["orders"])
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(bells.answer(), 0.01)


async def test_every_bell_rings_when_some_may_be_lost() -> None:
    bells = Doorbells()
    bells.hear(None)
    assert await bells.answer() == ([], sorted(get_args(bus.Wake)))


async def test_fetched_prices_come_in_order_and_wait_within_bounds() -> None:
    bells = Doorbells()
    for number in range(FETCHED_MAX + 3):
        bells.hear(quotes(f"K{number}"))
    fetched, _ = await bells.answer()
    assert len(fetched) == FETCHED_MAX
    assert [ticks[0].instrument_key for ticks in fetched[:2]] == ["K3", "K4"]
    assert (await _rung_by(bells, wake("orders"))) == []


async def test_what_is_no_price_is_refused_and_the_next_is_heard() -> None:
    bells = Doorbells()
    with pytest.raises(msgspec.DecodeError):
        bells.hear({"type": "rest.quotes", "payload": b"\xc1"})
    assert (await _rung_by(bells, quotes("A")))[0][0].instrument_key == "A"


async def _rung_by(bells: Doorbells, message: dict[str, object]) -> list[list[Tick]]:
    bells.hear(message)
    return (await bells.answer())[0]
