"""The stream in tests: a real web server, a publisher in the engine's place, a client."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client as DjangoClient
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from marketdata.board import Board
from marketdata.models import Instrument
from marketdata.quotes import Tick
from mockmarket.core import bus, clock, redis, tokens
from mockmarket.core.models import User
from tests.support.network import free_port, is_open
from tests.support.services import end_with_parent
from tests.support.waiting import PATIENCE, eventually

Frame = dict[str, Any]
ROOT = Path(__file__).resolve().parents[2]


class WebServer:
    """`manage.py serve` on a free port, on the test's database and Redis."""

    def __init__(self, server: str, *, port: int | None = None, **environment: str) -> None:
        self.server = server
        self.port = port or free_port()
        self._environment = environment
        self.log = Path(settings.VAR_DIR) / f"serve-{self.port}.log"
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable, str(ROOT / "manage.py"), "serve",
                    "--server", self.server, "--port", str(self.port),
                ],
                env=os.environ | _environment() | self._environment,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )  # fmt: skip
        eventually(lambda: is_open(self.port) or process.poll() is not None, seconds=30)
        assert process.poll() is None, self.log.read_text()[-4000:]
        return process

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws/"

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss_kib(self) -> int:
        """The process's resident memory."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1])
        raise AssertionError("the server is gone")

    def stop(self, how: int = signal.SIGTERM) -> None:
        """End the process and wait for it."""
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Start again on the same port."""
        self.process = self._start()


def _environment() -> dict[str, str]:
    database = connection.settings_dict
    if database["ENGINE"].endswith("sqlite3"):
        url = f"sqlite:///{database['NAME']}"
    else:
        password = f":{database['PASSWORD']}" if database["PASSWORD"] else ""
        url = (
            f"postgres://{database['USER']}{password}@{database['HOST']}:{database['PORT']}"
            f"/{database['NAME']}"
        )
    return {
        "DATABASE_URL": url,
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PREFIX": settings.REDIS_PREFIX,
        "VAR_DIR": str(settings.VAR_DIR),
        "PYTHONWARNINGS": "ignore",
    }


class Publisher:
    """Stands in the engine's place: a board, batches on the bus, a snapshot in Redis."""

    def __init__(self) -> None:
        self.board = Board(epoch=uuid.uuid4().hex)

    def tick(self, prices: dict[str, float], *, snapshot: bool = True, **fields: Any) -> None:
        """Publish one batch: `prices` by instrument key, `fields` for each tick."""
        now = clock.now_ms()
        self.board.merge(
            [
                Tick(
                    **{
                        "instrument_key": key,
                        "last_price": price,
                        "previous_close": 100.0,
                        "volume": 10,
                        "bids": ((price - 0.05, 5),),
                        "asks": ((price + 0.05, 6),),
                        "last_trade_ms": now,
                        "exchange_ms": now,
                        "received_ms": now,
                        "source": "stream",
                        **fields,
                    }
                )
                for key, price in prices.items()
            ]
        )
        batch = self.board.drain(at_ms=now)
        if snapshot:
            self.snapshot()
        if batch is not None:
            bus.send(bus.STREAM_GROUP, batch)

    def snapshot(self) -> None:
        """Leave the board in Redis."""
        packed = msgspec.msgpack.encode(self.board.snapshot(at_ms=clock.now_ms()))
        redis.client().set(redis.key("board"), packed)

    def status(self, status: str = "live", **fields: Any) -> None:
        """Say how live the prices are."""
        message = {"message": "Test", "phase": "CONTINUOUS", "source": "simulated", **fields}
        bus.send(bus.STREAM_GROUP, {"type": "market.status", "status": status, **message})


class Client:
    """A WebSocket client that remembers every frame."""

    def __init__(self, url: str, **options: Any) -> None:
        given = {"open_timeout": 10 * PATIENCE, "close_timeout": 2, "proxy": None, "legacy": True}
        options = {**given, **options}
        self.socket: ClientConnection = connect(url, **options)
        self.seen: list[Frame] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, action: str, **fields: Any) -> None:
        """Send an action."""
        self.socket.send(json.dumps({"action": action, **fields}))

    def raw(self, text: str | bytes) -> None:
        """Send a frame as it is."""
        self.socket.send(text)

    def next(self, seconds: float = 5) -> Frame:
        """The next frame."""
        frame: Frame = json.loads(self.socket.recv(timeout=seconds))
        self.seen.append(frame)
        return frame

    def wait(
        self, type: str, where: Callable[[Frame], bool] = lambda _: True, *, seconds: float = 10
    ) -> Frame:
        """The next frame of a type; others on the way are kept in `seen`."""
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            frame = self.next(max(0.01, deadline - time.monotonic()))
            if frame["type"] == type and where(frame):
                return frame

    def drain(self, seconds: float = 0.3) -> list[Frame]:
        """Everything that comes until it is quiet for `seconds`."""
        frames = []
        with contextlib.suppress(TimeoutError):
            while True:
                frames.append(self.next(seconds))
        return frames

    def close_code(self, seconds: float = 10) -> int | None:
        """Read on until the server closes; its code."""
        deadline = time.monotonic() + seconds * PATIENCE
        try:
            while True:
                self.next(max(0.01, deadline - time.monotonic()))
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None

    def price(self, key: str, price: float, *, seconds: float = 10) -> Frame:
        """Wait until `key` is shown at `price`."""

        def shows(frame: Frame) -> bool:
            return bool(frame["data"].get(key, {}).get("last_price") == price)

        return self.wait("prices_batch", shows, seconds=seconds)


def user(name: str = "alice") -> User:
    """A new user; the name gets a unique end, because quotas in Redis outlive a test."""
    return User.objects.create_user(f"{name}-{uuid.uuid4().hex[:8]}", password="correct horse")


def bearer(user: User) -> dict[str, str]:
    """The handshake's headers of a program of `user`."""
    return {"Authorization": f"Bearer {tokens.issue_pair(user=user).access}"}


def session(user: User) -> tuple[str, dict[str, str]]:
    """A signed-in browser session of `user`: its key, and the Cookie header."""
    client = DjangoClient()
    client.force_login(user)
    key = client.cookies[settings.SESSION_COOKIE_NAME].value
    return key, {"Cookie": f"{settings.SESSION_COOKIE_NAME}={key}"}


def join(server: WebServer, user: User, keys: Sequence[str] = ()) -> Client:
    """A welcomed client of `user` that follows `keys`."""
    client = Client(server.url, additional_headers=bearer(user))
    client.wait("welcome")
    if keys:
        client.send("subscribe", instruments=list(keys))
        client.wait("subscription_confirmed")
    return client


def instruments(count: int) -> list[str]:
    """Keys of `count` listed instruments."""
    rows = [
        Instrument(
            key=f"NSE_EQ|INE{number:09d}",
            symbol=f"SHARE{number}",
            name=f"Share {number}",
            exchange="NSE",
            segment="NSE_EQ",
            instrument_type="EQ",
        )
        for number in range(count)
    ]
    Instrument.objects.bulk_create(rows)
    return [row.key for row in rows]


def running(server: str) -> Iterator[WebServer]:
    """For fixtures: a web server for as long as the fixture lives."""
    web = WebServer(server)
    try:
        yield web
    finally:
        web.stop()


SERVERS = ["uvicorn", "daphne"]


@pytest.fixture(scope="session", params=SERVERS)
def web(request: pytest.FixtureRequest, django_db_setup: None) -> Iterator[WebServer]:
    """Both servers, one after the other."""
    yield from running(request.param)
