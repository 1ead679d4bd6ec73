"""What each page costs the processor: `python -m benchmarks.page_costs [--flavour postgres]`.

Per page of the site map, for one request through the whole ASGI application, warmed:
cpu_ms        of processor, the least of the rounds (not of the clock: what else runs on the
              machine counts little)
template_ms   of that inside templates, with what they look up
database_ms   of that inside the database driver
queries       statements
median_cpu_ms, highest_cpu_ms   over all pages

Starts the product itself, with its engine and fifty students, and asks from a process beside it
as a student who has traded.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.common import run
from tests.support import site_map
from tests.support.product import FLAVOURS, running

ROOT = Path(__file__).resolve().parent.parent
STUDENT = "student17"


class Meter:
    """Processor time and calls of one kind of work, over all threads."""

    def __init__(self) -> None:
        self.spent, self.calls, self._depth = 0.0, 0, 0

    def wrap(self, function: Any) -> Any:
        """`function`, counted; calls inside a call belong to it."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            if self._depth:
                return function(*args, **kwargs)
            self._depth += 1
            began = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                self.spent += time.thread_time() - began
                self.calls += 1
                self._depth -= 1

        return counted


async def ask(application: Any, path: str, cookie: str) -> int:
    """The status of one GET."""
    target, _, query = path.partition("?")
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": target, "raw_path": target.encode(), "root_path": "",
        "query_string": query.encode(), "client": ("127.0.0.1", 50_000),
        "server": ("127.0.0.1", 8000),
        "headers": [(b"host", b"127.0.0.1"), (b"cookie", cookie.encode())],
    }  # fmt: skip
    told = False
    status = 0

    async def receive() -> dict[str, Any]:
        nonlocal told
        if told:
            await asyncio.Event().wait()
        told = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    await application(scope, receive, send)
    return status


def prepare() -> str:
    """Trades, watches and waits as a student; the session's cookie."""
    from django.test import Client

    from mockmarket.core.models import User

    client = Client(HTTP_HOST="127.0.0.1")
    client.force_login(User.objects.get(username=STUDENT))
    cookie = f"session={client.cookies['session'].value}"
    if json.loads(client.get("/api/v1/orders/").content)["results"]:
        return cookie
    for symbol in ("RELIANCE", "TCS", "INFY", "HDFCBANK", "ITC", "SBIN"):
        key = json.loads(client.get(f"/api/v1/instruments/?search={symbol}").content)
        key = key["results"][0]["instrument_key"]
        for _ in range(2):
            order = {"instrument_key": key, "side": "BUY", "quantity": 3, "product": "CNC",
                     "order_type": "MARKET"}  # fmt: skip
            client.post("/api/v1/orders/", order, content_type="application/json")
            time.sleep(0.3)
        client.post("/watchlists/add/", {"instrument": key})
    time.sleep(3)
    return cookie


async def costs(rounds: int) -> dict[str, dict[str, float]]:
    """The columns by path."""
    from django.db.backends.utils import CursorWrapper
    from django.template.backends.django import Template

    database, template = Meter(), Meter()
    CursorWrapper.execute = database.wrap(CursorWrapper.execute)  # type: ignore[method-assign]
    Template.render = template.wrap(Template.render)  # type: ignore[method-assign]
    from mockmarket.asgi import application

    cookie = await asyncio.to_thread(prepare)
    found = {}
    for path in dict.fromkeys(site_map.paths(site_map.LIVE) + site_map.paths(site_map.QUIET)):
        for _ in range(4):
            status = await ask(application, path, cookie)
        rows = []
        for _ in range(rounds):
            database.spent = template.spent = database.calls = 0
            began = time.process_time()
            await ask(application, path, cookie)
            spent = time.process_time() - began
            rows.append((spent, template.spent, database.spent, database.calls))
        columns = [min(column) for column in zip(*rows, strict=True)]
        found[path] = {
            "status": status,
            "cpu_ms": round(columns[0] * 1000, 2),
            "template_ms": round(columns[1] * 1000, 2),
            "database_ms": round(columns[2] * 1000, 2),
            "queries": int(columns[3]),
        }
    return found


def inside() -> None:
    """The asking process: prints its table as JSON."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
    import django

    django.setup()
    json.dump(asyncio.run(costs(int(sys.argv[2]))), sys.stdout)


def measure(*, quick: bool, flavour: str) -> dict[str, Any]:
    """The keys of the docstring."""
    with running(flavour) as product:
        redis = product.folder / "redis.url"
        environment = {**product.environment, "LOG_LEVEL": "ERROR"}
        if redis.exists():
            environment["REDIS_URL"] = redis.read_text().strip()
        answer = subprocess.run(
            [sys.executable, "-m", "benchmarks.page_costs", "--inside", "8" if quick else "40"],
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    pages: dict[str, dict[str, float]] = json.loads(answer.stdout[answer.stdout.index("{") :])
    spent = [row["cpu_ms"] for row in pages.values()]
    return {
        "flavour": flavour,
        **pages,
        "median_cpu_ms": round(statistics.median(spent), 2),
        "highest_cpu_ms": max(spent),
    }


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--flavour", choices=FLAVOURS, default="sqlite")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--inside"]:
        inside()
    else:
        run("page_costs", measure, arguments=_arguments)
