"""Trading: what the matcher, the books and the HTTP API carry.

matcher_ticks_per_second   ticks that cross nothing, 100,000 resting orders on 500 shares, one core
naive_ticks_per_second     the rival: the same ticks, asking every resting order of the share
matcher_ratio              the first over the second
avalanche_orders, avalanche_s   resting orders that one gap triggers, and the seconds until all are
                           durably filled (fills, entries, postings, positions, events)
avalanche_ratio            against one transaction an order, measured in the same run
orders_per_second          accepted by POST /api/v1/orders/ of the running product (PostgreSQL)
accept_p50_ms, accept_p99_ms   from request to answer
fill_p50_ms, fill_p99_ms   from request to the `trade` event on the owner's socket
"""

import json
import os
import statistics
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import django
import numpy as np

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
django.setup()

import requests  # noqa: E402
import websocket  # noqa: E402
from django.db import connection  # noqa: E402

from benchmarks import common  # noqa: E402
from marketdata.board import COLUMN, Board  # noqa: E402
from marketdata.models import Instrument  # noqa: E402
from marketdata.quotes import Tick  # noqa: E402
from mockmarket.core import clock  # noqa: E402
from mockmarket.core.models import User  # noqa: E402
from portfolios import services as portfolio_services  # noqa: E402
from portfolios.models import Portfolio  # noqa: E402
from trading import settlement  # noqa: E402
from trading.desk import Desk  # noqa: E402
from trading.live import LiveOrder, live_orders  # noqa: E402
from trading.matching import Settings  # noqa: E402
from trading.models import Order  # noqa: E402

RESTING = 100_000
SHARES = 500
FRAME = 100  # ticks of one frame of the feed
STUDENTS = 50


def _share(number: int) -> Instrument:
    return Instrument(
        pk=number + 1,
        key=f"NSE_EQ|BENCH{number:05d}",
        symbol=f"BENCH{number}",
        segment="NSE_EQ",
        tick_size=Decimal("0.05"),
        instrument_type="EQ",
    )


def _tick(key: str, last: float, at_ms: int, *, volume: int = 1_000, size: int = 500) -> Tick:
    return Tick(
        instrument_key=key,
        exchange_ms=at_ms,
        received_ms=at_ms,
        source="stream",
        last_price=last,
        last_trade_ms=at_ms,
        volume=volume,
        previous_close=100.0,
        bids=tuple((round(last - 0.05 * n, 2), size) for n in range(1, 6)),
        asks=tuple((round(last + 0.05 * n, 2), size) for n in range(1, 6)),
    )


# --- Matcher ----------------------------------------------------------------------------
def _resting(instrument: Instrument, number: int) -> LiveOrder:
    buy = number % 2 == 0
    limit = Decimal(90) - number % 100 * Decimal("0.05")
    return LiveOrder(
        id=uuid.uuid4(),
        portfolio_id=number % 1_000,
        instrument=instrument,
        pool=("portfolio", number % 1_000),
        settings=Settings(),
        serial=(datetime(2026, 1, 1, tzinfo=UTC), uuid.uuid4()),
        version=1,
        buy=buy,
        quantity=10,
        filled=0,
        limit=limit if buy else limit + 20,
        market=False,
        ioc=False,
        trigger=None,
        triggered=False,
        resting=True,
        waiting=False,
    )


def matcher(*, seconds: float) -> dict[str, Any]:
    """Ticks a second that cross nothing, through the desk and through a plain loop."""
    board, desk = Board(epoch="bench"), Desk()
    desk.phases = {"NSE_EQ": "CONTINUOUS"}
    now_ms = clock.now_ms()
    shares = [_share(number) for number in range(SHARES)]
    board.merge([_tick(share.key, 100.0, now_ms) for share in shares])
    orders = [_resting(shares[number % SHARES], number) for number in range(RESTING)]
    desk.take(orders, board, complete=True)
    by_row: dict[int, list[LiveOrder]] = {}
    for order in orders:
        by_row.setdefault(order.row, []).append(order)
    frames = [
        np.arange(start, start + FRAME, dtype=np.int32)
        for start in range(0, SHARES - FRAME + 1, FRAME)
    ]
    ticks = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for rows in frames:
            assert not desk.on_ticks(rows, board, now_ms)
            ticks += FRAME
    fast = ticks / (time.perf_counter() - began)
    ticks = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for row in frames[0].tolist():
            ask, bid = board.values[row][COLUMN["ask"]], board.values[row][COLUMN["bid"]]
            for order in by_row[row]:
                limit = float(order.limit or 0)
                assert not (ask <= limit if order.buy else bid >= limit)
            ticks += 1
    naive = ticks / (time.perf_counter() - began)
    return {
        "matcher_ticks_per_second": round(fast),
        "naive_ticks_per_second": round(naive),
        "matcher_ratio": round(fast / naive, 1),
    }


# --- Avalanche --------------------------------------------------------------------------
@contextmanager
def _database() -> Iterator[None]:
    """A database of its own on the configured server, dropped afterwards."""
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def _crowd(count: int) -> tuple[Instrument, list[Portfolio]]:
    """Students with resting orders to buy at 95: `count` in all, each with its reservation."""
    at = clock.now()
    share = _share(0)
    share.pk = None
    share.save()
    users = User.objects.bulk_create(
        [User(username=f"bench{number:04d}", password="!") for number in range(100)]
    )
    portfolios = [portfolio_services.ensure_practice(user=user, at=at) for user in users]
    orders = []
    for number in range(count):
        portfolio = portfolios[number % len(portfolios)]
        orders.append(
            Order(
                portfolio=portfolio,
                instrument=share,
                side="BUY",
                order_type="LIMIT",
                product="CNC",
                quantity=5,
                price=Decimal(95),
                status="OPEN",
                resting=True,
                reserved=Decimal("476.00"),
                client_order_id=f"bench-{number}",
                placed_at=at,
                updated_at=at,
                session_date=at.date(),
            )
        )
    Order.objects.bulk_create(orders, batch_size=2_000)
    for portfolio in portfolios:
        portfolio.reserved = Decimal("476.00") * (count // len(portfolios))
        portfolio.save()
    return share, portfolios


def _gap(share: Instrument) -> tuple[list[settlement.Decided], int]:
    """One tick through every limit; what the desk decides on it."""
    fence = settlement.take_fence(at=clock.now())
    board, desk = Board(epoch="bench"), Desk()
    desk.phases = {"NSE_EQ": "CONTINUOUS"}
    now_ms = clock.now_ms()
    board.merge([_tick(share.key, 100.0, now_ms)])
    desk.take(live_orders(), board, complete=True)
    rows = np.array(
        board.merge([_tick(share.key, 90.0, now_ms + 100, size=1_000_000)]), dtype=np.int32
    )
    return desk.on_ticks(rows, board, now_ms + 100), fence


def avalanche(*, count: int, singles: int) -> dict[str, Any]:
    """Seconds until a gap's fills are durable, in batches and one by one."""
    with _database():
        share, _ = _crowd(count + singles)
        decided, fence = _gap(share)
        assert len(decided) == count + singles
        began = time.perf_counter()
        for one in decided[count:]:
            settlement.settle([one], fence=fence)
        one_by_one = (time.perf_counter() - began) / singles * count
        began = time.perf_counter()
        for start in range(0, count, 1_000):
            settlement.settle(decided[start : min(count, start + 1_000)], fence=fence)
        batched = time.perf_counter() - began
        assert Order.objects.filter(status="FILLED").count() == count + singles
    return {
        "avalanche_database": connection.vendor,
        "avalanche_orders": count,
        "avalanche_s": round(batched, 2),
        "avalanche_one_by_one_s": round(one_by_one, 2),
        "avalanche_ratio": round(one_by_one / batched, 1),
    }


# --- HTTP -------------------------------------------------------------------------------
class _Student:
    """A signed-in student: posts orders, and hears the fills on a socket."""

    def __init__(self, url: str, name: str, password: str) -> None:
        self.url = url
        self.session = requests.Session()
        answer = self.session.post(
            f"{url}/api/v1/auth/token/", json={"username": name, "password": password}, timeout=30
        )
        answer.raise_for_status()
        self.token = answer.json()["access"]
        self.session.headers["Authorization"] = f"Bearer {self.token}"
        self.posted: dict[str, float] = {}
        self.filled: dict[str, float] = {}
        self.accepts: list[float] = []
        self.refused: list[str] = []
        self.socket = websocket.create_connection(
            f"{url.replace('http', 'ws')}/ws/",
            header=[f"Authorization: Bearer {self.token}"],
            timeout=60,
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                message = json.loads(self.socket.recv())
                if message.get("type") == "trade":
                    self.filled.setdefault(message["data"]["order_id"], time.perf_counter())
        except (OSError, websocket.WebSocketException, ValueError):
            return

    def buy(self, key: str) -> None:
        began = time.perf_counter()
        answer = self.session.post(
            f"{self.url}/api/v1/orders/",
            json={"instrument_key": key, "side": "BUY", "quantity": 1, "order_type": "MARKET"},
            timeout=30,
        )
        ended = time.perf_counter()
        if answer.status_code != 201:
            self.refused.append(answer.text[:200])
            return
        self.accepts.append(ended - began)
        self.posted[answer.json()["id"]] = began


def _percentile(values: list[float], percent: int) -> float:
    return round(statistics.quantiles(values, n=100)[percent - 1] * 1000, 1)


def http(*, students: int, each: int, threads: int) -> dict[str, Any]:
    """The running product under orders from many students at once."""
    from tests.support.product import running

    limits: dict[str, Any] = {
        "ORDERS_PER_SECOND": "1000",
        "ORDERS_PER_MINUTE": "100000",
        "LOGINS_PER_ADDRESS_PER_MINUTE": "10000",
    }
    with running("postgres", **limits) as product:
        crowd = [
            _Student(product.url, f"student{number:02d}", product.password)
            for number in range(1, students + 1)
        ]
        listed = crowd[0].session.get(
            f"{product.url}/api/v1/instruments/?segment=NSE_EQ", timeout=30
        )
        keys = [row["instrument_key"] for row in listed.json()["results"][:10]]
        for student in crowd[:10]:  # warm up, and put the shares on the stream
            student.buy(keys[crowd.index(student) % len(keys)])
        time.sleep(3)
        for student in crowd:
            student.accepts.clear()
            student.posted.clear()
        work = [(student, keys[n % len(keys)]) for n in range(each) for student in crowd]
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda one: one[0].buy(one[1]), work))
        spent = time.perf_counter() - began
        time.sleep(5)
        accepts = [value for student in crowd for value in student.accepts]
        fills = [
            student.filled[order_id] - started
            for student in crowd
            for order_id, started in student.posted.items()
            if order_id in student.filled
        ]
        refused = [text for student in crowd for text in student.refused]
        assert len(accepts) > 100, f"few orders were accepted: {refused[:2]}"
        product.manage("check_ledger")
    return {
        "orders": len(accepts),
        "orders_refused": len(refused),
        "orders_filled": len(fills),
        "orders_per_second": round(len(accepts) / spent, 1),
        "accept_p50_ms": _percentile(accepts, 50),
        "accept_p99_ms": _percentile(accepts, 99),
        "fill_p50_ms": _percentile(fills, 50),
        "fill_p99_ms": _percentile(fills, 99),
    }


def measure(*, quick: bool) -> dict[str, Any]:
    """All three; `quick` shortens each."""
    return {
        **matcher(seconds=1 if quick else 5),
        **avalanche(count=2_000 if quick else 10_000, singles=200 if quick else 1_000),
        **http(students=20 if quick else STUDENTS, each=15 if quick else 50, threads=8),
    }


if __name__ == "__main__":
    common.run("trading", measure)
