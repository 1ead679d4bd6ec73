"""Run the whole product in the foreground."""

import asyncio
import fcntl
import http.client
import os
import socket
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from mockmarket.core import demo as demo_users
from mockmarket.core import processes
from mockmarket.core.servers import limits
from mockmarket.core.supervisor import Supervisor

EXCHANGE_PORT = 8765


class Command(BaseCommand):
    help = (
        "Run every process of the product under one supervisor: embedded Valkey where REDIS_URL"
        " is unset, exchange simulator, engine, web, worker and beat. Ctrl-C stops them all."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1", help="address to serve on")
        parser.add_argument(
            "--port",
            type=int,
            default=int(os.environ.get("PORT") or 8000),
            help="port to serve on (default: PORT, else 8000)",
        )
        parser.add_argument(
            "--demo", action="store_true", help="migrate and seed the demonstration first"
        )

    def handle(self, *args: Any, host: str, port: int, demo: bool, **options: Any) -> None:
        _check_replay()
        settings.VAR_DIR.mkdir(parents=True, exist_ok=True)
        with _only_one(settings.VAR_DIR / "up.lock"), ExitStack() as held:
            if demo:
                self._prepare()
            _check_migrated()
            listener = _listen(host, port)
            layout = _layout(listener, held)
            logins = demo_users.password() if demo_users.is_seeded() else None
            connection.close()
            supervisor = Supervisor(
                processes.programs(
                    layout,
                    environment=_environment(layout, host, port),
                    is_open=_is_open,
                    serves=lambda: _serves(host, port),
                ),
                colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
                state_file=settings.VAR_DIR / "up.json",
                on_ready=lambda: self._announce(layout, host, port, logins),
            )
            try:
                if layout.embedded_redis_port is not None:
                    settings.REDIS_URL_FILE.write_text(_redis_url(layout))
                self.stdout.write("Starting ...")
                self.stdout.flush()
                asyncio.run(supervisor.run())
            finally:
                if layout.embedded_redis_port is not None:
                    settings.REDIS_URL_FILE.unlink(missing_ok=True)
                listener.close()
        self.stdout.write("All processes have ended.")

    def _prepare(self) -> None:
        self.stdout.write("Preparing the database ...")
        call_command("migrate", interactive=False, verbosity=0)
        call_command("seed_demo", stdout=self.stdout)

    def _announce(self, layout: processes.Layout, host: str, port: int, logins: str | None) -> None:
        """What a person needs now, after everything has been started."""
        engine = settings.DATABASES["default"]["ENGINE"].rsplit(".", 1)[-1]
        redis = "embedded Valkey" if layout.embedded_redis_port else "REDIS_URL"
        market = (
            f"simulated exchange on port {layout.exchange_port}"
            if layout.exchange_port
            else "Upstox"
        )
        lines = ["", f"MockMarket: http://{host}:{port}"]
        if logins is not None:
            lines += [
                f"logins: {demo_users.student(1)} ... {demo_users.student(demo_users.STUDENTS)},"
                f" staff {demo_users.STAFF}",
                f"password: {logins}",
            ]
        lines += [
            f"running: database {engine}, Redis {redis}, market {market}",
            "Ctrl-C stops everything.",
            "",
        ]
        self.stdout.write("\n".join(lines))
        self.stdout.flush()


def _check_replay() -> None:
    if settings.MARKET_SOURCE != "replay":
        return
    what = settings.MARKET_REPLAY_DIR
    day = settings.VAR_DIR / "recordings" / f"{what}.frames"
    if not what or not (day.is_file() or Path(what).exists()):
        raise CommandError(
            "MARKET_REPLAY_DIR must name a recorded day: a date that VAR_DIR/recordings holds,"
            f" a file or a folder; was {what!r}"
        )


def _check_migrated() -> None:
    try:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except Exception as error:
        raise CommandError(f"the database cannot be used: {error}") from error
    if missing:
        raise CommandError(
            f"the database lacks {len(missing)} migrations: run `python manage.py migrate` first"
        )


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Hold the lock of this VAR_DIR; two installations in one folder would share a database."""
    with path.open("a+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CommandError(f"already running here (VAR_DIR {path.parent})") from error
        yield


def _listen(host: str, port: int) -> socket.socket:
    """The listening socket that all web processes inherit: no gap while one restarts."""
    try:
        return limits.listen(host=host, port=port)
    except OSError as error:
        raise CommandError(
            f"cannot serve on {host}:{port}: {error.strerror}; choose another with PORT=8001"
        ) from error


def _layout(listener: socket.socket, held: ExitStack) -> processes.Layout:
    exchange = None
    if settings.MARKET_SOURCE != "upstox":
        exchange = reserve_port(held, EXCHANGE_PORT)
    return processes.Layout(
        base_dir=settings.BASE_DIR,
        var_dir=settings.VAR_DIR,
        web_server=settings.WEB_SERVER,
        web_processes=settings.WEB_PROCESSES,
        listening_fd=listener.fileno(),
        embedded_redis_port=reserve_port(held) if settings.REDIS_EMBEDDED else None,
        market_source=settings.MARKET_SOURCE,
        exchange_port=exchange,
        replay_dir=settings.MARKET_REPLAY_DIR,
        replay_speed=settings.MARKET_REPLAY_SPEED,
    )


def _environment(layout: processes.Layout, host: str, port: int) -> dict[str, str]:
    """What the children need beyond the supervisor's own environment."""
    result = {
        "PYTHONUNBUFFERED": "1",
        "PYTHONWARNINGS": "ignore:No directory at",
        "VAR_DIR": str(settings.VAR_DIR),
    }
    if layout.embedded_redis_port is not None:
        result["REDIS_URL"] = _redis_url(layout)
    if layout.exchange_port is not None:
        result["UPSTOX_REST_URL"] = f"http://127.0.0.1:{layout.exchange_port}"
        result["UPSTOX_FEED_URL"] = (
            f"ws://127.0.0.1:{layout.exchange_port}/v3/feed/market-data-feed"
        )
    if not settings.ALLOWED_ORIGINS:
        names = sorted({host, "127.0.0.1", "localhost"})
        result["ALLOWED_ORIGINS"] = ",".join(f"http://{name}:{port}" for name in names)
    return result


def _redis_url(layout: processes.Layout) -> str:
    return f"redis://127.0.0.1:{layout.embedded_redis_port}/0"


def reserve_port(held: ExitStack, wanted: int = 0) -> int:
    """A loopback port that is ours until `held` ends, `wanted` if it is free.

    Looking for a free one is not enough: two products started together both found 8765, and one
    lived on the other's exchange while its own could not start. The socket is bound, without
    SO_REUSEADDR so that a second reservation fails, and never listens; with the option set after
    that, Linux lets our own server, which sets it too, bind and listen beside it.
    """
    for candidate in (wanted, 0):
        holding = held.enter_context(socket.socket())
        try:
            holding.bind(("127.0.0.1", candidate))
        except OSError:
            continue
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return int(holding.getsockname()[1])
    raise CommandError("no free loopback port")


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serves(host: str, port: int) -> bool:
    """Whether the product answers that it is ready: database, Redis, migrations, engine."""
    asking = http.client.HTTPConnection(host, port, timeout=2)
    try:
        asking.request(
            "GET", "/readyz", headers={"Host": "localhost", "X-Forwarded-Proto": "https"}
        )
        return asking.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asking.close()
