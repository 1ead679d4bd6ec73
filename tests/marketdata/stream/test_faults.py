"""What may go wrong around the stream: Redis, processes, slow and hostile clients.

Short versions run always; the sizes of the catalogue run under `fault`.
"""

import asyncio
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import transaction
from websockets.asyncio.client import connect as connect_async

from marketdata.stream.sockets import AsgiSink
from mockmarket.core import bus, clock, redis
from mockmarket.core.models import ApiToken, OutboxEvent, User
from tests.support import faulty_redis, stream
from tests.support.faulty_redis import OwnRedis
from tests.support.raw_socket import dropped, handshake
from tests.support.stream import Client, Publisher, WebServer, bearer, join
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)
web = stream.web
own_redis = faulty_redis.own_redis


@pytest.fixture(params=stream.SERVERS)
def own_web(request: pytest.FixtureRequest, own_redis: OwnRedis) -> Iterator[WebServer]:
    yield from stream.running(request.param)


class TestRedis:
    """T6: everything right at most 15 s after Redis is back, nobody deaf, nothing lost."""

    @pytest.mark.parametrize("fault", ["kill", "pause", "flush"])
    def test_sockets_survive(self, own_redis: OwnRedis, own_web: WebServer, fault: str) -> None:
        (key,) = stream.instruments(1)
        publisher = Publisher()
        publisher.tick({key: 100.0})
        alice = stream.user()
        readers = [join(own_web, alice, [key]), join(own_web, stream.user("bob"), [key])]
        for client in readers:
            client.price(key, 100.0)
        if fault == "kill":
            own_redis.kill()
        elif fault == "pause":
            own_redis.pause()
        else:
            redis.client().flushall()
        began = time.monotonic()
        publish(alice)  # an order's event: committed whatever Redis does
        assert time.monotonic() - began < 5
        assert OutboxEvent.objects.filter(user=alice).count() == 1
        if fault == "kill":
            time.sleep(1)
            own_redis.start()
        elif fault == "pause":
            own_redis.go_on()
        back = time.monotonic()
        redis.client.cache_clear()
        publisher.tick({key: 101.0})
        assert readers[0].wait("trade", seconds=15)["seq"] == 1
        publisher.tick({key: 102.0})  # the engine goes on publishing
        for client in readers:
            client.price(key, 102.0, seconds=15)
        assert time.monotonic() - back < 15
        with join(own_web, stream.user("carol"), [key]) as late:
            late.price(key, 102.0)
        for client in readers:
            client.socket.close()

    def test_sockets_open_while_redis_is_away(
        self, own_redis: OwnRedis, own_web: WebServer
    ) -> None:
        (key,) = stream.instruments(1)
        publisher = Publisher()
        with join(own_web, stream.user()):
            own_redis.kill()
            with join(own_web, stream.user("bob"), [key]) as client:
                own_redis.start()
                redis.client.cache_clear()
                eventually(lambda: redis.client().pubsub_numsub(group_channel())[0][1] == 1)
                publisher.tick({key: 104.0})
                client.price(key, 104.0, seconds=15)


def group_channel() -> str:
    from django.conf import settings

    return f"{settings.REDIS_PREFIX}__group__{bus.STREAM_GROUP}"


def publish(user: User, number: int = 0) -> None:
    with transaction.atomic():
        bus.publish(user_id=user.pk, type="trade", payload={"n": number}, at=clock.now())


class TestProcesses:
    def test_two_web_processes_share_users_and_one_dies(self, db: None) -> None:
        keys = stream.instruments(120)
        publisher = Publisher()
        alice = stream.user()
        one, two = WebServer("uvicorn"), WebServer("daphne")
        try:
            first, second = join(one, alice, keys[:70]), join(two, alice)
            second.send("subscribe", instruments=keys[60:])
            answer = second.wait("subscription_confirmed")
            assert (answer["count"], len(answer["rejected"])) == (100, 20)
            publish(alice)
            assert [client.wait("trade")["seq"] for client in (first, second)] == [1, 1]
            others = [join(one, alice) for _ in range(3)]
            one.stop(signal.SIGKILL)
            began = time.monotonic()
            publish(alice, 1)

            def back() -> Client:
                client = Client(two.url, additional_headers=bearer(alice))
                client.wait("welcome")
                return client

            # All four places of the dead process are free again within 15 s.
            returned = [eventually(back, seconds=15, poll=0.5) for _ in range(4)]
            assert time.monotonic() - began <= 15
            returned[0].send("subscribe", instruments=keys[:60])
            assert returned[0].wait("subscription_confirmed")["rejected"] == [], "leases leaked"
            epoch = returned[0].seen[0]["epoch"]
            returned[0].send("resume", epoch=epoch, seq=1)
            assert returned[0].wait("trade")["seq"] == 2
            publisher.tick({keys[0]: 105.0})
            returned[0].price(keys[0], 105.0)
            for client in [second, *returned]:
                client.socket.close()
            assert len(others) == 3
        finally:
            one.stop(signal.SIGKILL)
            two.stop()

    @pytest.mark.parametrize("server", stream.SERVERS)
    def test_sigterm_says_1012_and_ends_in_ten_seconds(self, server: str, db: None) -> None:
        web = WebServer(server)
        try:
            clients = [join(web, stream.user()) for _ in range(5)]
            began = time.monotonic()
            web.process.terminate()
            assert [client.close_code() for client in clients] == [1012] * 5
            web.process.wait(10)
            assert time.monotonic() - began < 10
        finally:
            web.stop()

    @pytest.mark.parametrize(
        "count", [100, pytest.param(1_000, marks=[pytest.mark.fault, pytest.mark.timeout(400)])]
    )
    @pytest.mark.parametrize("server", stream.SERVERS)
    def test_reconnect_storm(self, server: str, count: int, db: None) -> None:
        """T12: everyone back with the right snapshot in 15 s, Redis connections back to base."""
        keys = stream.instruments(20)
        publisher = Publisher()
        publisher.tick(dict.fromkeys(keys, 100.0))
        headers = many_users(count)
        web = WebServer(server)
        try:
            with join(web, stream.user(), keys):
                base = len(redis.client().client_list())
            web.stop()
            publisher.tick(dict.fromkeys(keys, 107.0))
            web.restart()
            took = asyncio.run(storm(web.url, headers, keys, price=107.0))
            assert took <= 15 * max(1.0, os.getloadavg()[0] / 4), f"took {took:.1f} s"
            assert len(redis.client().client_list()) <= base + 25
        finally:
            web.stop()


def many_users(count: int) -> list[dict[str, str]]:
    """Handshake headers of `count` new users."""
    import hashlib

    users = User.objects.bulk_create(
        User(username=f"storm{number}", password="!") for number in range(count)
    )
    now = clock.now()
    ApiToken.objects.bulk_create(
        ApiToken(
            user=user,
            name="storm",
            digest=hashlib.sha256(f"mm_storm{user.pk}".encode()).hexdigest(),
            last_four="0000",
            created_at=now,
            last_used_at=now,
        )
        for user in users
    )
    return [{"Authorization": f"Bearer mm_storm{user.pk}"} for user in users]


async def storm(url: str, headers: list[dict[str, str]], keys: list[str], *, price: float) -> float:
    """Connect everyone at once; seconds until the last has the snapshot at `price`."""

    async def one(header: dict[str, str]) -> None:
        async with connect_async(
            url, additional_headers=header, proxy=None, open_timeout=60
        ) as client:
            await client.send(json.dumps({"action": "set", "instruments": keys}))
            async for text in client:
                frame = json.loads(text)
                if frame["type"] == "prices_batch":
                    assert {row["last_price"] for row in frame["data"].values()} == {price}
                    assert set(frame["data"]) == set(keys)
                    return

    began = time.monotonic()
    await asyncio.gather(*map(one, headers))
    return time.monotonic() - began


class TestSlowReaders:
    """T13: a reader that stops is skipped, then closed; nobody else notices."""

    # Two minutes on both servers, and beside another worker the kernel's buffers take longer to
    # fill than it waits.
    @pytest.mark.fault
    def test_are_closed_and_cost_little(self, web: WebServer) -> None:
        keys = stream.instruments(100)
        publisher = Publisher()
        publisher.tick(dict.fromkeys(keys, 100.0))
        with join(web, stream.user("quick"), keys[:10]) as quick:
            ages = Ages(quick)
            for _ in range(40):
                ages.publish(publisher, keys)
            # The control: alone, one who reads stays and hears prices at once.
            alone = ages.median()
            slow = [stopped_reader(web, stream.user("slow"), keys) for _ in range(5)]
            before = web.rss_kib()
            deadline = time.monotonic() + 60
            while not all(map(dropped, slow)) and time.monotonic() < deadline:
                ages.publish(publisher, keys)
            assert all(map(dropped, slow)), "a stopped reader was kept"
            assert web.rss_kib() - before < 64 * 1024
            beside = ages.median()
            ages.stop()
            assert beside < max(250, 3 * alone), f"{alone=} ms, {beside=} ms"
            quick.send("ping")
            assert quick.wait("pong")

    async def test_events_beyond_the_backlog_close_4008(self) -> None:
        """Bounds of one socket: 256 events, with a reader that takes none."""
        from marketdata.stream.sockets import BACKLOG_FRAMES_MAX, Grant, Socket

        closed: list[dict[str, object]] = []
        never = asyncio.Event()

        async def send(message: dict[str, object]) -> None:
            if message["type"] == "websocket.close":
                closed.append(message)
                return
            await never.wait()

        sink = AsgiSink(send, on_writable=lambda: None)
        reader = Socket(id="x", sink=sink, grant=Grant(1, "", ""), slot=0, welcomed=True)
        for number in range(BACKLOG_FRAMES_MAX + 1):
            reader.send(b"%d" % number)
            reader.offer("depth", b"only the newest waits")
        assert not reader.closing
        assert len(reader.latest) == 1
        reader.send(b"one too many")
        await asyncio.sleep(0)
        assert reader.closing
        assert closed[0]["code"] == 4008


class Ages:
    """How old prices are when a client hears them, in milliseconds."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._ages: list[float] = []
        self._ending = threading.Event()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def publish(self, publisher: Publisher, keys: list[str]) -> None:
        """A price that is the present moment, twenty times a second."""
        now = round(time.monotonic() * 1000 % 1e6, 2)
        publisher.tick(dict.fromkeys(keys, now), snapshot=False)
        time.sleep(0.05)

    def _read(self) -> None:
        while not self._ending.is_set():
            for frame in self._client.drain(0.05):
                if frame["type"] == "prices_batch":
                    said = next(iter(frame["data"].values()))["last_price"]
                    if said is not None:  # a process without the first batch says so
                        self._ages.append(time.monotonic() * 1000 % 1e6 - said)

    def median(self) -> float:
        """Of what was heard since the last call."""
        heard, self._ages = sorted(self._ages), []
        assert len(heard) > 10, "nothing was heard"
        return heard[len(heard) // 2]

    def stop(self) -> None:
        self._ending.set()
        self._reader.join()


def stopped_reader(web: WebServer, user: User, keys: list[str]) -> socket.socket:
    """A raw connection that follows `keys` and never reads again."""
    raw = socket.create_connection(("127.0.0.1", web.port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.sendall(handshake(web, **bearer(user)))
    assert raw.recv(65_536).startswith(b"HTTP/1.1 101")
    said = json.dumps({"action": "set", "instruments": keys}).encode()
    raw.sendall(b"\x81\xfe" + len(said).to_bytes(2, "big") + b"\0\0\0\0" + said)
    return raw
