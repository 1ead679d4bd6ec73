"""T21: streaming for long costs no memory, no files, no threads and no connections.

`SOAK_MINUTES` (10, and not less: a minute cannot tell a MiB an hour from a page) says how long it
is judged; a night's run (`SOAK_MINUTES=400`) shows what ten minutes cannot. A tenth of the sockets
leave and come back every ten seconds, as with a campus's Wi-Fi.

Forty rounds of the same come before. A socket that left is garbage in cycles, which only a full
collection frees: one for about 540 sockets, or 18 rounds. Resident memory grows until the second of
them, by 6.5 MiB in 25 rounds, and not from there on; a run judged from its first minute fails. It
is rounds that count and not minutes: on a busy machine a round takes longer.
"""

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from django.db import connection, connections, transaction
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed

from benchmarks.streaming.memory import mib_per_hour
from mockmarket.core import bus, clock, redis
from mockmarket.core.models import User
from tests.marketdata.stream.test_faults import many_users
from tests.support import stream
from tests.support.stream import Publisher, WebServer

MINUTES = max(10.0, float(os.environ.get("SOAK_MINUTES", "10")))
SOCKETS = 300
ROUND_SECONDS = 10
WARM_UP_ROUNDS = 40
SLOPE_MAX = 1.0  # MiB an hour per 100 sockets


@dataclass(frozen=True, slots=True)
class Point:
    """What the web process holds, `at` seconds after the start."""

    at: float
    rss_mib: float
    files: float
    threads: float
    redis_clients: float
    database_clients: float


def look(web: WebServer, *, at: float) -> Point:
    """What it holds now."""
    process = Path(f"/proc/{web.process.pid}")
    with connection.cursor() as cursor:
        count = 0
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            )
            count = int(cursor.fetchone()[0])
    return Point(
        at=at,
        rss_mib=web.rss_kib() / 1024,
        files=len(list((process / "fd").iterdir())),
        threads=len(list((process / "task").iterdir())),
        redis_clients=len(redis.client().client_list()),
        database_clients=count,
    )


def growth(points: Sequence[Point]) -> float:
    """MiB an hour of resident memory."""
    return mib_per_hour([(point.at, point.rss_mib) for point in points])


def judge(points: Sequence[Point], *, sockets: int) -> None:
    """Raise AssertionError where something grows."""
    allowed = SLOPE_MAX * sockets / 100
    slope = growth(points)
    assert slope <= allowed, f"{slope:.1f} MiB/h, allowed {allowed:.1f}: {points}"
    half = len(points) // 2
    for name in ("files", "threads", "redis_clients", "database_clients"):
        early, late = (
            [getattr(at, name) for at in part] for part in (points[:half], points[half:])
        )
        # Sockets that are just leaving, a health check of a pool: a few, never more with time.
        assert max(late) <= max(early) + 5, f"{name} grows: {early}, then {late}"


class TestJudge:
    """The control: what grows is seen."""

    def points(self, **growth: float) -> list[Point]:
        held = {"rss_mib": 150, "files": 350, "threads": 9, "redis_clients": 5}
        return [
            Point(
                at=60.0 * minute,
                database_clients=4,
                **{name: value + growth.get(name, 0.0) * minute for name, value in held.items()},
            )
            for minute in range(60)
        ]

    def test_flat_is_well(self) -> None:
        judge(self.points(), sockets=300)

    @pytest.mark.parametrize("name", ["rss_mib", "files", "threads", "redis_clients"])
    def test_growth_is_not(self, name: str) -> None:
        with pytest.raises(AssertionError):
            judge(self.points(**{name: 0.2}), sockets=300)

    @pytest.mark.parametrize("at", [1, 30, 58])
    def test_one_arena_is_well(self, at: int) -> None:
        judge(self.stairs(at), sockets=300)

    def test_one_after_another_is_not(self) -> None:
        with pytest.raises(AssertionError):
            judge(self.stairs(*range(0, 60, 15)), sockets=300)

    def stairs(self, *minutes: int) -> list[Point]:
        """A MiB more from each of `minutes` on."""
        return [
            replace(point, rss_mib=point.rss_mib + sum(minute <= at for minute in minutes))
            for at, point in enumerate(self.points())
        ]


@contextmanager
def ticking(keys: list[str]) -> Iterator[None]:
    """Prices five times a second, beside."""
    ending = threading.Event()

    def run() -> None:
        publisher = Publisher()
        price = 100.0
        while not ending.wait(0.2):
            price += 0.05
            publisher.tick(dict.fromkeys(keys, round(price, 2)))

    def publish() -> None:
        try:
            run()
        finally:
            connections.close_all()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()


class Crowd:
    """Sockets on a loop of their own, that read whatever comes."""

    def __init__(self, url: str, headers: Sequence[dict[str, str]], keys: list[str]) -> None:
        self._url, self._headers = url, headers
        self._said = json.dumps({"action": "set", "instruments": keys})
        self._sockets: list[ClientConnection] = []
        self._readers: set[asyncio.Task[None]] = set()
        self.frames = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def come(self, numbers: Sequence[int]) -> None:
        """Connect these; waits until each follows its instruments."""
        self._wait(self._come(numbers))

    def leave(self, count: int) -> None:
        """Let those that are here longest go: half say so, half just end."""
        self._wait(self._leave(count))

    def close(self) -> None:
        """Everybody goes."""
        self.leave(len(self._sockets))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(120)

    async def _come(self, numbers: Sequence[int]) -> None:
        async def one(number: int) -> None:
            socket = await connect_async(
                self._url, additional_headers=self._headers[number], proxy=None, open_timeout=60
            )
            await socket.send(self._said)
            while b"subscription_confirmed" not in await socket.recv(decode=False):
                pass
            self._sockets.append(socket)
            reader = asyncio.create_task(self._read(socket))
            self._readers.add(reader)
            reader.add_done_callback(self._readers.discard)

        await asyncio.gather(*map(one, numbers))

    async def _leave(self, count: int) -> None:
        going, self._sockets = self._sockets[:count], self._sockets[count:]
        for socket in going[::2]:
            socket.transport.abort()
        await asyncio.gather(*(socket.close() for socket in going[1::2]))

    async def _read(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await socket.recv(decode=False)
                self.frames += 1


def events(users: Sequence[User], round_: int) -> None:
    """A tenth of the users hear of a trade; what nobody can ask for any more goes."""
    for user in users[round_ % 10 :: 10]:
        with transaction.atomic():
            bus.publish(user_id=user.pk, type="trade", payload={"n": round_}, at=clock.now())
    bus.prune_outbox()


@pytest.mark.fault
@pytest.mark.timeout(60 * MINUTES + 4 * WARM_UP_ROUNDS * ROUND_SECONDS + 600)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("server", stream.SERVERS)
def test_soak(server: str) -> None:
    keys = stream.instruments(100)
    headers = many_users(SOCKETS)
    users = list(User.objects.filter(username__startswith="storm"))
    web = WebServer(server)
    crowd = Crowd(web.url, headers, keys)
    points: list[Point] = []
    try:
        with ticking(keys):
            crowd.come(range(SOCKETS))
            began = time.monotonic()
            round_ = 0
            while not points or points[-1].at - points[0].at < 60 * MINUTES:
                places = [number % SOCKETS for number in range(30 * round_, 30 * round_ + 30)]
                crowd.leave(len(places))
                crowd.come(places)
                events(users, round_)
                assert requests.get(f"{web.origin}/healthz", timeout=30).ok
                round_ += 1
                time.sleep(max(0.0, began + ROUND_SECONDS * round_ - time.monotonic()))
                if round_ > WARM_UP_ROUNDS:
                    points.append(look(web, at=time.monotonic() - began))
    finally:
        crowd.close()
        web.stop()
    slope = growth(points) * 100 / SOCKETS
    print(f"\n{server}: {slope:.2f} MiB/h per 100 sockets, {crowd.frames} frames")  # noqa: T201
    print(f"{points[0]}\n{points[-1]}")  # noqa: T201
    judge(points, sockets=SOCKETS)
