"""A simulated exchange in a thread, with real sockets, for tests of what talks to it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn

from marketdata import universe
from marketdata.exchange import listing
from marketdata.exchange.app import Exchange
from marketdata.exchange.feed_server import FeedServer
from marketdata.exchange.hours import ALWAYS, Hours
from marketdata.exchange.prices import Market
from marketdata.exchange.rest_server import Rest
from marketdata.exchange.simulated import SimulatedSource
from marketdata.exchange.source import Source
from marketdata.upstox.feed import Feed
from marketdata.upstox.wire import Frame
from mockmarket.core import clock
from tests.support.network import free_port
from tests.support.waiting import eventually

HDFC = "NSE_EQ|INE040A01034"
RELIANCE = "NSE_EQ|INE002A01018"
NIFTY = "NSE_INDEX|Nifty 50"


@dataclass
class Running:
    """Where the exchange listens, and its parts."""

    port: int
    app: Exchange
    feed: FeedServer
    scheme: str = ""

    @property
    def rest_url(self) -> str:
        return f"http{self.scheme}://127.0.0.1:{self.port}"

    @property
    def feed_url(self) -> str:
        return f"ws{self.scheme}://127.0.0.1:{self.port}/v3/feed/market-data-feed"


@contextlib.contextmanager
def heard(running: Running, key: str) -> Iterator[list[Frame]]:
    """What a feed client hears of one instrument in full, as it comes, until the block ends."""
    frames: list[Frame] = []
    feed = Feed(
        url=running.feed_url,
        token="any",
        on_frame=frames.append,
        on_state=lambda state, reason: None,
    )
    feed.subscribe([key], "full")
    feed.start()
    try:
        yield frames
    finally:
        feed.stop()


def simulated(*, seed: int = 1, hours: Hours = ALWAYS, **kwargs: Any) -> Source:
    """The bundled universe, lively: ten ticks a second and instrument."""
    market = Market(listings=listing.from_universe(universe.load()), seed=seed, hours=hours)
    return SimulatedSource(market=market, seed=seed, **{"tick_rate": 10.0, "beat_ms": 20, **kwargs})


@contextlib.contextmanager
def exchange(
    source: Source | None = None,
    *,
    port: int | None = None,
    certificate: tuple[str, str] | None = None,
    now_ms: Callable[[], int] = clock.now_ms,
    **kwargs: Any,
) -> Iterator[Running]:
    """Serve `source` until the block ends. `certificate` is (certificate file, key file)."""
    source = source or simulated()
    feed = FeedServer(source=source, now_ms=now_ms, beat_ms=20)
    app = Exchange(feed=feed, rest=Rest(source), now_ms=now_ms, **kwargs)
    running = Running(port or free_port(), app, feed, "s" if certificate else "")
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=running.port,
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            log_level="critical",
            lifespan="on",
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate[0] if certificate else None,
            ssl_keyfile=certificate[1] if certificate else None,
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, seconds=30)
        yield running
    finally:
        server.should_exit = True
        thread.join(10)
