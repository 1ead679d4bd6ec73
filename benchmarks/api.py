"""The API over HTTP: four endpoints with 50 clients, against plain ModelViewSets.

Per endpoint (quotes of 100 instruments, portfolio, leaderboard of 10,000, place order):
NAME_requests_per_second   answered when 50 clients ask again as soon as they are answered
NAME_p50_ms, NAME_p95_ms, NAME_p99_ms   50 clients, each a request a second: from the first byte
                           sent to the last received
NAME_full_p95_ms           the same while all 50 ask without a pause
NAME_plain_requests_per_second   the ModelViewSet in the same run
NAME_ratio_plain           requests per second, ours over the plain one

One web process (`manage.py serve`) on this machine serves both; the clients share its cores. Every
client is another student with an API token. Prices come from Redis, as the engine leaves them.
"""

import asyncio
import atexit
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import django

from tests.support import services as servers

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
os.environ.setdefault("LOG_LEVEL", "ERROR")
if __name__ == "__main__" and not os.environ.get("REDIS_URL"):
    redis_server = servers.start_redis()
    os.environ["REDIS_URL"] = redis_server.url
    atexit.register(redis_server.stop)
django.setup()

import orjson  # noqa: E402
from django.conf import settings  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import setup_databases, teardown_databases  # noqa: E402

from benchmarks import common  # noqa: E402
from marketdata.models import Instrument  # noqa: E402
from mockmarket.core import clock, tokens  # noqa: E402
from mockmarket.core.models import User  # noqa: E402
from portfolios import services, snapshots, standings  # noqa: E402
from portfolios.models import Portfolio, Position  # noqa: E402
from tests.support.api import kept_price, live_market, share  # noqa: E402
from tests.support.network import free_port  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
SHARES = 100
STUDENTS = 10_000
HELD = 10
CLIENTS = 50
PACE_SECONDS = 1.0
START_SECONDS = 60

Request = Callable[[int], bytes]


# --- The world --------------------------------------------------------------------------
def _world() -> tuple[list[tuple[Portfolio, str]], list[Instrument]]:
    """Fifty students with tokens and positions among ten thousand, and a hundred shares."""
    rows = [share(f"B{number:04d}") for number in range(SHARES)]
    for row in rows:
        kept_price(row, "100.00")
    at = clock.now()
    contest = services.practice_contest(at=at)
    # Fifty clients without a pause place more than a student may.
    contest.rules = {**contest.rules, "orders_per_minute_max": None}
    contest.save(update_fields=["rules"])
    User.objects.bulk_create([User(username=f"s{n}") for n in range(STUDENTS)], batch_size=500)
    Portfolio.objects.bulk_create(
        [
            Portfolio(contest=contest, user_id=pk, joined_at=at, cash=Decimal("900000.00"))
            for pk in User.objects.values_list("pk", flat=True)
        ],
        batch_size=500,
    )
    callers = []
    for number in range(CLIENTS):
        user = User.objects.create(username=f"caller{number}")
        portfolio = services.ensure_practice(user=user, at=at)
        _row, token = tokens.create_token(
            user=user, name="bench", scope="TRADE", expires_at=None, at=at
        )
        callers.append((portfolio, token))
    Position.objects.bulk_create(
        [
            Position(
                portfolio=portfolio,
                instrument=row,
                product="CNC",
                quantity=10,
                cost=Decimal("1000.00"),
                opened_at=at,
                updated_at=at,
            )
            for portfolio, _ in callers
            for row in rows[:HELD]
        ]
    )
    return callers, rows


@contextmanager
def _engine(rows: list[Instrument]) -> Iterator[None]:
    """Leaves fresh prices and ranks in Redis, as the engine does."""
    contest = services.practice_contest(at=clock.now())
    prices = dict.fromkeys(rows, 100.0)
    live_market(prices)
    part = standings.recompute(contest=contest, at=clock.now())
    done = threading.Event()

    def beat() -> None:
        while not done.wait(1):
            live_market(prices)
            snapshots.store({contest.pk: replace(part, at_ms=clock.now_ms())})

    snapshots.store({contest.pk: replace(part, at_ms=clock.now_ms())})
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    yield
    done.set()
    thread.join()


@contextmanager
def _server() -> Iterator[int]:
    """The product's own web process with the rivals beside it."""
    port = free_port()
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "benchmarks.api_settings",
        "BENCH_DATABASE": str(connection.settings_dict["NAME"]),
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PREFIX": settings.REDIS_PREFIX,
    }
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--port", str(port)], cwd=ROOT, env=environment
    )
    try:
        yield port
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


# --- The clients ------------------------------------------------------------------------
async def _answer(reader: asyncio.StreamReader) -> int:
    """Reads one answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line[15:])
    body = await reader.readexactly(length)
    assert status < 300, body[:500]
    return status


async def _client(
    port: int, requests: Iterator[bytes], *, start: float, until: float, pace: float
) -> list[float]:
    """Milliseconds of each answer of one connection; `pace` 0 asks again at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found: list[float] = []
    due = start
    while due < until:
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        began = time.perf_counter()
        writer.write(next(requests))
        await _answer(reader)
        ended = time.perf_counter()
        found.append((ended - began) * 1000)
        due = due + pace if pace else ended
    writer.close()
    return found


async def _drive(
    port: int, request: Request, *, seconds: float, pace: float, clients: int = CLIENTS
) -> list[float]:
    """The clients for `seconds`; with a pace, their first requests are spread over it."""
    start = time.perf_counter() + 0.05

    def requests(number: int) -> Iterator[bytes]:
        while True:
            yield request(number)

    return [
        one
        for found in await asyncio.gather(
            *(
                _client(
                    port,
                    requests(number),
                    start=start + pace * number / CLIENTS,
                    until=start + seconds,
                    pace=pace,
                )
                for number in range(clients)
            )
        )
        for one in found
    ]


async def _ready(port: int) -> None:
    deadline = time.perf_counter() + START_SECONDS
    while True:
        try:
            _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            assert time.perf_counter() < deadline, "the server did not start"
            await asyncio.sleep(0.2)
            continue
        writer.close()
        return


def _http(path: str, token: str, body: dict[str, Any] | None = None) -> bytes:
    content = b"" if body is None else orjson.dumps(body)
    head = (
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {len(content)}\r\n"
        + ("" if body is None else "Content-Type: application/json\r\n")
    )
    return head.encode() + b"\r\n" + content


def _pairs(
    callers: list[tuple[Portfolio, str]], rows: list[Instrument]
) -> dict[str, tuple[Request, Request]]:
    """Ours and the plain one's requests by endpoint, for the client of a number."""
    keys = ",".join(row.key for row in rows).replace("|", "%7C")
    at = clock.now()

    def order(number: int) -> bytes:
        body = {"instrument_key": rows[number % SHARES].key, "side": "BUY", "quantity": 1}
        return _http("/api/v1/orders/", callers[number][1], body)

    def plain_order(number: int) -> bytes:
        body = {
            "portfolio": callers[number][0].pk,
            "instrument": rows[number % SHARES].pk,
            "side": "BUY",
            "order_type": "MARKET",
            "product": "CNC",
            "quantity": 1,
            "status": "OPEN",
            "placed_at": at.isoformat(),
            "updated_at": at.isoformat(),
            "session_date": at.date().isoformat(),
            "client_order_id": uuid.uuid4().hex,
        }
        return _http("/plain/place_order/", callers[number][1], body)

    def reading(path: str) -> Request:
        ready = [_http(path, token) for _, token in callers]
        return lambda number: ready[number]

    return {
        "quotes": (
            reading(f"/api/v1/quotes/?instruments={keys}"),
            reading(f"/plain/quotes/?instruments={keys}"),
        ),
        "portfolio": (reading("/api/v1/portfolio/"), reading("/plain/portfolio/")),
        "leaderboard": (
            reading("/api/v1/contests/practice/leaderboard/"),
            reading("/plain/leaderboard/"),
        ),
        "place_order": (order, plain_order),
    }


# --- The figures ------------------------------------------------------------------------
def _at(ranked: list[float], part: float) -> float:
    return round(ranked[min(len(ranked) - 1, int(len(ranked) * part))], 2)


async def _figures(
    port: int, name: str, ours: Request, plain: Request, *, seconds: float
) -> dict[str, float]:
    """One endpoint's keys."""
    await _drive(port, ours, seconds=1, pace=0)  # connections, caches, imports
    paced = sorted(await _drive(port, ours, seconds=seconds, pace=PACE_SECONDS))
    rates, full = [], []
    # Fifty plain boards at once would keep the machine for minutes.
    fewer = 1 if name == "leaderboard" else CLIENTS
    for request, clients in ((ours, CLIENTS), (plain, fewer)):
        began = time.perf_counter()
        found = sorted(await _drive(port, request, seconds=seconds, pace=0, clients=clients))
        rates.append(len(found) / (time.perf_counter() - began))
        full.append(found)
    return {
        f"{name}_requests_per_second": round(rates[0], 1),
        f"{name}_p50_ms": _at(paced, 0.5),
        f"{name}_p95_ms": _at(paced, 0.95),
        f"{name}_p99_ms": _at(paced, 0.99),
        f"{name}_full_p95_ms": _at(full[0], 0.95),
        f"{name}_plain_requests_per_second": round(rates[1], 1),
        f"{name}_ratio_plain": round(rates[0] / rates[1], 2),
    }


async def _all(port: int, pairs: dict[str, tuple[Request, Request]], *, seconds: float) -> Any:
    await _ready(port)
    found: dict[str, Any] = {"students": STUDENTS, "clients": CLIENTS}
    for name, (ours, plain) in pairs.items():
        found |= await _figures(port, name, ours, plain, seconds=seconds)
    return found


def measure(*, quick: bool) -> dict[str, Any]:
    """The keys of the docstring."""
    settings.REDIS_PREFIX = f"bench-{uuid.uuid4().hex[:8]}"
    databases = setup_databases(verbosity=0, interactive=False)
    try:
        callers, rows = _world()
        pairs = _pairs(callers, rows)
        with _engine(rows), _server() as port:
            found: dict[str, Any] = asyncio.run(_all(port, pairs, seconds=3.0 if quick else 10.0))
        return found
    finally:
        teardown_databases(databases, verbosity=0)


if __name__ == "__main__":
    common.run("api", measure)
