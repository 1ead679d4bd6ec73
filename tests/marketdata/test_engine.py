"""The engine against the simulated exchange, over real sockets, Redis and database."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import msgspec
import numpy as np
import pytest

from marketdata import mirror, selectors, services
from marketdata.board import COLUMN, Board
from marketdata.engine import MarketEngine
from marketdata.interest import STRIP
from marketdata.models import Candle, LastPrice
from mockmarket.core import alarms
from mockmarket.core import redis as store
from tests.support.exchange import HDFC, RELIANCE, Running, exchange
from tests.support.network import free_port
from tests.support.tap import tap
from tests.support.waiting import eventually

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("engine")]


class Recorder:
    """A hook that keeps what it is given."""

    def __init__(self) -> None:
        self.started = False
        self.stopped = False
        self.prices: dict[str, list[float]] = {}
        self.woken: list[str] = []
        self.seconds = 0
        self.money: set[str] = set()

    async def start(self, engine: MarketEngine) -> None:
        self.started = True

    async def stop(self) -> None:
        self.stopped = True

    def on_ticks(self, rows: np.ndarray, board: Board, now_ms: int) -> None:
        assert self.started, "ticks before the start"
        for row in rows:
            price = float(board.values[row, COLUMN["last_price"]])
            self.prices.setdefault(board.keys[row], []).append(price)

    def every_second(self, board: Board, now_ms: int) -> None:
        self.seconds += 1

    def extra_interest(self) -> set[str]:
        return self.money

    async def on_wake(self, what: str) -> None:
        self.woken.append(what)


@contextmanager
def running(*hooks: Recorder) -> Iterator[MarketEngine]:
    """An engine in a thread with its own loop; stopped cleanly at the end."""
    engines: list[MarketEngine] = []
    loops: list[asyncio.AbstractEventLoop] = []

    async def live() -> None:
        loops.append(asyncio.get_running_loop())
        engines.append(MarketEngine(hooks=hooks))
        await engines[0].run()

    thread = threading.Thread(target=lambda: asyncio.run(live()), daemon=True)
    thread.start()
    engine = eventually(lambda: engines[0])
    try:
        yield engine
    finally:
        if not loops[0].is_closed():  # it may have ended by itself
            loops[0].call_soon_threadsafe(engine.stop)
        thread.join(20)
        assert not thread.is_alive(), "the engine did not stop"


@pytest.fixture
def clean_redis():
    client = store.client()
    for name in client.scan_iter(store.key("*")):
        client.delete(name)
    selectors.forget()
    mirror.mirror.cache_clear()
    yield client
    selectors.forget()
    mirror.mirror.cache_clear()


@pytest.fixture
def market(settings, clean_redis) -> Iterator[Running]:
    """A seeded database and an exchange."""
    services.seed_universe()
    selectors.forget()
    with exchange() as server:
        settings.UPSTOX_REST_URL = server.rest_url
        settings.UPSTOX_FEED_URL = server.feed_url
        yield server


def status() -> str:
    copy = mirror.Mirror()
    snapshot = mirror.read_snapshot()
    assert snapshot is not None
    copy.load(snapshot)
    return str(copy.status.get("status"))


def lease(name: str, keys: dict[str, int]) -> None:
    store.client().set(
        store.key("stream", "lease", name),
        msgspec.msgpack.encode({"keys": keys, "depth": [], "users": [1], "sockets": 1}),
        ex=60,
    )


def held(server: Running) -> set[str]:
    return set().union(*(set(connection.modes) for connection in server.feed.connections))


def test_it_fills_the_board_publishes_and_keeps_what_it_saw(market):
    hook = Recorder()
    with running(hook) as engine:
        snapshot = eventually(mirror.read_snapshot, seconds=30)
        assert len(snapshot["keys"]) == 220
        eventually(lambda: held(market) == set(STRIP), seconds=20)
        eventually(lambda: status() == "live", seconds=20)
        eventually(lambda: all(len(hook.prices.get(key, ())) > 3 for key in STRIP), seconds=20)
        eventually(lambda: hook.seconds > 2)
        assert engine.gate.rejects == {}
        assert engine.users() == frozenset()
        heartbeat = eventually(lambda: store.client().get(store.key("heartbeat", "engine")))
        assert msgspec.json.decode(heartbeat)["feed"]["connected"]
    assert hook.stopped
    assert LastPrice.objects.count() == 220


def test_the_feed_carries_what_is_watched_and_what_money_rides_on(market):
    hook = Recorder()
    with running(hook) as engine:
        eventually(lambda: held(market) == set(STRIP), seconds=30)
        lease("a", {HDFC: 2})
        lease("b", {HDFC: 1})
        eventually(lambda: held(market) == {*STRIP, HDFC})
        assert engine.demand.watchers == {HDFC: 3}
        hook.money = {RELIANCE}
        eventually(lambda: held(market) == {*STRIP, HDFC, RELIANCE})
        eventually(lambda: len(hook.prices.get(RELIANCE, ())) > 2)
        store.client().delete(store.key("stream", "lease", "a"))
        eventually(lambda: engine.demand.watchers == {HDFC: 1})
        assert HDFC in held(market)


def test_a_silent_feed_is_called_stale_within_five_seconds_and_heals(settings, market):
    with tap(market.port) as proxy:
        settings.UPSTOX_FEED_URL = market.feed_url.replace(str(market.port), str(proxy.port))
        with running() as engine:
            eventually(lambda: status() == "live", seconds=30)
            proxy.stall()
            began = time.monotonic()
            eventually(lambda: status() != "live", seconds=8)
            assert time.monotonic() - began < 7.5
            proxy.flow()
            eventually(lambda: status() == "live", seconds=15)
            assert engine.status is not None


def test_all_keys_are_back_five_seconds_after_the_exchange_returns(settings, clean_redis):
    services.seed_universe()
    selectors.forget()
    port = free_port()
    settings.UPSTOX_REST_URL = f"http://127.0.0.1:{port}"
    settings.UPSTOX_FEED_URL = f"ws://127.0.0.1:{port}/v3/feed/market-data-feed"
    lease("a", {HDFC: 1})
    with running():
        with exchange(port=port) as server:
            eventually(lambda: held(server) == {*STRIP, HDFC}, seconds=40)
            eventually(lambda: status() == "live", seconds=20)
        eventually(lambda: status() in ("delayed", "disconnected"), seconds=10)
        with exchange(port=port) as server:
            began = time.monotonic()
            eventually(lambda: held(server) == {*STRIP, HDFC}, seconds=20)
            assert time.monotonic() - began < 5.0
            eventually(lambda: status() == "live", seconds=20)


def test_a_refused_token_raises_an_alarm_and_is_not_tried_again(settings, clean_redis):
    services.seed_universe()
    selectors.forget()
    with exchange(token="good") as server:
        settings.UPSTOX_REST_URL = server.rest_url
        settings.UPSTOX_FEED_URL = server.feed_url
        settings.UPSTOX_ACCESS_TOKEN = "bad"
        with running() as engine:
            eventually(
                lambda: [alarm.name for alarm in alarms.current()] == ["feed-token"], seconds=40
            )
            eventually(lambda: status() == "disconnected", seconds=10)
            assert engine.status is not None
            assert "administrator" in engine.status.message
            settings.UPSTOX_ACCESS_TOKEN = "good"
            eventually(lambda: held(server) == set(STRIP), seconds=20)
            eventually(lambda: status() == "live", seconds=20)
            assert alarms.current() == []


def test_a_stand_by_takes_over_with_a_newer_token(market):
    with running() as first:
        eventually(lambda: first.token == 1 and mirror.read_snapshot(), seconds=30)
        with running() as second:
            time.sleep(1.5)
            assert second.token == 0
            first._loop.call_soon_threadsafe(first.stop)
            eventually(lambda: second.token == 2, seconds=20)
            snapshot = eventually(
                lambda: (found := mirror.read_snapshot()) and found["epoch"][:2] == "2-" and found,
                seconds=20,
            )
            assert len(snapshot["keys"]) == 220


def test_minutes_are_stored_and_doorbells_reach_the_hooks(market):
    from mockmarket.core import bus

    hook = Recorder()
    lease("a", {HDFC: 1})
    with running(hook) as engine:
        eventually(lambda: len(hook.prices.get(HDFC, ())) > 2, seconds=30)
        # All ring once at the beginning: what was asked before anybody listened is not lost.
        eventually(lambda: set(hook.woken) == set(get_args(bus.Wake)))
        hook.woken.clear()
        assert bus.send(bus.ENGINE_GROUP, {"type": "wake", "what": "orders"})
        eventually(lambda: hook.woken == ["orders"])
        engine._loop.call_soon_threadsafe(
            lambda: engine.folder.close_before(at_ms=2**45)  # the minute ends
        )
        eventually(lambda: Candle.objects.filter(instrument__key=HDFC).exists())
    candle = Candle.objects.filter(instrument__key=HDFC).latest("start")
    assert candle.low <= candle.close <= candle.high
