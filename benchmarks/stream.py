"""The stream's fan-out beside a plain Channels consumer, on one workload, in one run.

2,200 instruments tick once a second, every socket follows 100 random ones; the clients count every
update and its age since the tick. The most sockets get half as many ticks again, so that the
process and not the workload bounds what is delivered. CPU is the web process's own, from /proc.
The web process under measurement has one core for itself, clients, publisher and Valkey have the
others, for rivals too: with all of them on any core the scheduler runs a client where it was woken,
in the middle of a pass (`--no-pin` shows it: p99 54 ms at 1,000 sockets instead of 31 to 43).

updates_per_core_second          delivered updates per second of the web process's CPU, most sockets
rival_updates_per_core_second    of a consumer with a group per instrument, on its better layer
ratio                            the first over the second
p50_ms_N, p95_ms_N, p99_ms_N     tick-to-client age at N sockets
cpu_N                            cores that the web process used at N sockets
clients_cpu_N                    cores that the clients used: near one, ages are their queue too
machine_cpu_N                    cores that everything on the machine used meanwhile
updates_per_second_max           delivered by one process at the most sockets
bytes_per_update                 of the frames, at the most sockets
rss_kib_per_socket               above what the server itself takes for an accepted socket
server_rss_kib_per_socket        that share of the server
connect_p99_ms_50                TCP connect to the first snapshot, 50 at once
storm_1000_s                     1,000 at once until the last has its snapshot
rss_slope_mib_per_hour_100       growth of resident memory per 100 sockets, in four minutes in which
                                 all leave and return, after ten rounds that fill caches and
                                 arenas; `make faults` has a longer one
missed                           the goals that this run did not meet, and by how much; those for
                                 8,000 sockets are asked of a run with so many

`--quick` ends at 1,000 sockets and leaves out the soak.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks import common
from benchmarks.streaming import memory

ROOT = Path(__file__).resolve().parent.parent
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
MOST_RATE: Final = 1.5  # ticks a second of an instrument, at the most sockets
MOST_SOCKETS: Final = 8_000
SOAK_SOCKETS: Final = 500
SOAK_SECONDS: Final = 240.0
# A socket that left is garbage until the next full collection, and arenas fill up to the most that
# lies between two. Two minutes with only two rounds left out gave 8.8 MiB/h once.
SOAK_WARM_UP_ROUNDS: Final = 10
AT_LEAST: Final = {"ratio": 100, "updates_per_second_max": 800_000}  # at MOST_SOCKETS
AT_MOST: Final = {
    "p99_ms_50": 30,
    "p99_ms_1000": 50,
    "rss_kib_per_socket": 20,
    "connect_p99_ms_50": 500,
    "storm_1000_s": 15,
    "rss_slope_mib_per_hour_100": 1,
}


class Process:
    """A child of the benchmark, in the world's environment."""

    def __init__(
        self,
        *arguments: str,
        environment: dict[str, str],
        pipe: bool = False,
        core: int | None = None,
    ) -> None:
        def pin() -> None:
            if core is not None:
                os.sched_setaffinity(0, {core})

        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            cwd=ROOT,
            stdout=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stderr=None if os.environ.get("BENCH_VERBOSE") else subprocess.DEVNULL,
            text=True,
            preexec_fn=pin,
        )

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND

    def rss_kib(self) -> int:
        """Resident memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    def line(self) -> str:
        """The next line of a piped child."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline()
        if not said:
            raise RuntimeError(f"a child of the benchmark ended: {self.process.args!r}")
        return said.strip()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class World:
    """A database with the instruments and a user for each socket, and a private Redis.

    `core` is the web process's own; None: the scheduler decides.
    """

    def __init__(self, folder: Path, redis_url: str, sockets: int, *, core: int | None) -> None:
        self.core = core
        self.environment = os.environ | {
            "VAR_DIR": str(folder),
            "DATABASE_URL": f"sqlite:///{folder / 'bench.sqlite3'}",
            "REDIS_URL": redis_url,
            "REDIS_PREFIX": f"bench{os.getpid()}",
            "DJANGO_SETTINGS_MODULE": "mockmarket.settings",
            "PYTHONWARNINGS": "ignore",
            "LOG_LEVEL": "ERROR",
            "AXES_ENABLED": "0",
        }
        setup = Process(
            "-m", "benchmarks.streaming.setup", str(sockets), environment=self.environment
        )
        if setup.process.wait():
            raise RuntimeError("the benchmark's database could not be made")

    @contextlib.contextmanager
    def run(
        self, *arguments: str, core: int | None = None, **environment: str
    ) -> Iterator[Process]:
        """A child for as long as the block."""
        process = Process(*arguments, environment=self.environment | environment, core=core)
        try:
            yield process
        finally:
            process.stop()

    @contextlib.contextmanager
    def web(self, server: str) -> Iterator[tuple[Process, int]]:
        """The product's web process, and its port."""
        port = _free_port()
        command = ("manage.py", "serve", "--server", server, "--port", str(port))
        with self.run(*command, core=self.core) as process:
            _await_port(port)
            yield process, port

    @contextlib.contextmanager
    def rival(self, name: str, server: str, **environment: str) -> Iterator[tuple[Process, int]]:
        """One of the rivals, and its port."""
        port = _free_port()
        command = ("-m", "benchmarks.streaming.rivals", name, server, str(port))
        with self.run(*command, core=self.core, **environment) as process:
            _await_port(port)
            yield process, port

    def clients(self, *arguments: object) -> Process:
        """A client process; it says `ready`, `counting`, then its figures."""
        return Process(
            "-m",
            "benchmarks.streaming.clients",
            *map(str, arguments),
            environment=self.environment,
            pipe=True,
        )


def machine_seconds() -> float:
    """CPU seconds that the whole machine has spent on anything."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:8]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICKS_PER_SECOND


def observe(web: Process, clients: Process) -> dict[str, Any]:
    """Wait for the clients' figures; adds the web process's CPU and memory while counting."""
    assert clients.line() == "ready"
    assert clients.line() == "counting"
    cpu, busy, own = web.cpu_seconds(), machine_seconds(), clients.cpu_seconds()
    began = time.monotonic()
    figures: dict[str, Any] = json.loads(clients.line())
    took = time.monotonic() - began
    figures["cpu"] = (web.cpu_seconds() - cpu) / took
    figures["machine_cpu"] = (machine_seconds() - busy) / took
    figures["clients_cpu"] = (clients.cpu_seconds() - own) / took
    figures["rss_kib"] = web.rss_kib()
    clients.process.wait()
    figures["rate"] = figures["updates"] / figures["seconds"]
    figures["per_core_second"] = figures["rate"] / max(figures["cpu"], 1e-3)
    return figures


def percentile(ages: list[list[int]], share: float) -> int:
    """The age in ms below which `share` of the updates lie."""
    wanted = share * sum(count for _, count in ages)
    seen = 0
    for age, count in ages:
        seen += count
        if seen >= wanted:
            return age
    return 0


def product(
    world: World, server: str, sizes: list[tuple[int, float, int]], *, quick: bool
) -> dict[str, Any]:
    """The product at each (sockets, seconds, every nth socket aged)."""
    result: dict[str, Any] = {}
    most = max(size for size, _, _ in sizes)
    for sockets, seconds, age_every in sizes:
        rate = MOST_RATE if sockets == most > 1_000 else 1.0
        with (
            world.web(server) as (web, port),
            world.run("-m", "benchmarks.streaming.publisher", "hub", "--rate", str(rate)),
        ):
            time.sleep(2)
            # The first socket loads what the process loads once.
            observe(web, world.clients(port, 1, 0.2, "--settle", 0.5, "--first", most))
            before = web.rss_kib()
            at_once = 1000 if sockets == 1000 else min(sockets, 200)
            settle = 1.5 if quick else 3.0
            arguments = (
                port, sockets, seconds,
                "--at-once", at_once, "--age-every", age_every, "--settle", settle,
            )  # fmt: skip
            seen = observe(web, world.clients(*arguments))
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            result[f"{name}_ms_{sockets}"] = percentile(seen["ages"], share)
        result[f"updates_per_second_{sockets}"] = round(seen["rate"])
        result[f"cpu_{sockets}"] = round(seen["cpu"], 3)
        result[f"clients_cpu_{sockets}"] = round(seen["clients_cpu"], 3)
        result[f"machine_cpu_{sockets}"] = round(seen["machine_cpu"], 2)
        result[f"updates_per_core_second_{sockets}"] = round(seen["per_core_second"])
        result[f"total_rss_kib_per_socket_{sockets}"] = round(
            (seen["rss_kib"] - before) / sockets, 1
        )
        if sockets == 50:
            result["connect_p99_ms_50"] = round(seen["connect_p99_ms"])
        if sockets == 1000:
            result["storm_1000_s"] = round(seen["all_connected_s"], 2)
        if sockets == most:
            result["updates_per_second_max"] = round(seen["rate"])
            result["updates_per_core_second"] = round(seen["per_core_second"])
            result["bytes_per_update"] = round(seen["bytes"] / max(1, seen["updates"]))
        if seen["closed"]:
            result[f"closed_{sockets}"] = seen["closed"]
    return result


def rivals(world: World, server: str, sockets: int, seconds: float) -> dict[str, Any]:
    """The plain consumer on both layers."""
    result: dict[str, Any] = {}
    for layer, environment in (("memory", {"BENCH_PUBLISH_INSIDE": "1"}), ("redis", {})):
        with contextlib.ExitStack() as stack:
            web, port = stack.enter_context(world.rival("plain", server, **environment))
            if layer == "redis":
                stack.enter_context(world.run("-m", "benchmarks.streaming.publisher", "groups"))
            arguments = (port, sockets, seconds, "--plain", "--at-once", 10)
            seen = observe(web, world.clients(*arguments))
        result[f"rival_{layer}_updates_per_second"] = round(seen["rate"])
        result[f"rival_{layer}_updates_per_core_second"] = round(seen["per_core_second"])
        result[f"rival_{layer}_p99_ms"] = percentile(seen["ages"], 0.99)
    result["rival_updates_per_core_second"] = max(
        result["rival_memory_updates_per_core_second"],
        result["rival_redis_updates_per_core_second"],
    )
    return result


def server_share(world: World, server: str, sockets: int) -> float:
    """KiB of resident memory that the server takes for a socket by itself."""
    with world.rival("bare", server) as (web, port):
        observe(web, world.clients(port, 1, 0.1, "--settle", 0.2, "--silent"))
        before = web.rss_kib()
        seen = observe(web, world.clients(port, sockets, 0.5, "--settle", 1, "--silent"))
    return float(seen["rss_kib"] - before) / sockets


def soak(world: World, server: str, sockets: int, seconds: float) -> float:
    """MiB an hour per 100 sockets, over rounds of connecting, streaming and leaving."""
    with (
        world.web(server) as (web, port),
        world.run("-m", "benchmarks.streaming.publisher", "hub"),
    ):
        time.sleep(2)
        points: list[tuple[float, float]] = []
        for _ in range(SOAK_WARM_UP_ROUNDS):
            observe(web, world.clients(port, sockets, 2, "--settle", 0.5))
        while len(points) < 3 or points[-1][0] - points[0][0] < seconds:
            observe(web, world.clients(port, sockets, 2, "--settle", 0.5))
            points.append((time.monotonic(), web.rss_kib() / 1024))
    return memory.mib_per_hour(points) / (sockets / 100)


def measure(*, quick: bool, server: str, sockets: int, pin: bool) -> dict[str, Any]:
    """All figures. `sockets` is the most at once, `pin` gives the web process a core."""
    _allow_files(2 * sockets + 500)
    most = min(sockets, 1_000) if quick else sockets
    seconds = 4.0 if quick else 15.0
    with (
        _own_core(pin) as core,
        tempfile.TemporaryDirectory(prefix="mm-bench-") as folder,
        _redis() as url,
    ):
        world = World(Path(folder), url, max(most, 1_000) + 1, core=core)
        sizes = {50: 1, 1_000: 1, most: 8 if most > 1_000 else 1}
        figures = product(
            world, server, [(size, seconds, aged) for size, aged in sizes.items()], quick=quick
        )
        figures |= rivals(world, server, 50, seconds)
        share = server_share(world, server, 500 if quick else 2_000)
        total = figures[f"total_rss_kib_per_socket_{most}"]
        figures["server_rss_kib_per_socket"] = round(share, 1)
        figures["rss_kib_per_socket"] = round(total - share, 1)
        figures["ratio"] = round(
            figures["updates_per_core_second"] / figures["rival_updates_per_core_second"], 1
        )
        if not quick:
            slope = soak(world, server, SOAK_SOCKETS, SOAK_SECONDS)
            figures["rss_slope_mib_per_hour_100"] = round(slope, 2)
    return {"server": server, "sockets_max": most, **figures, "missed": missed(figures, most)}


def missed(figures: dict[str, Any], most: int) -> dict[str, str]:
    """The goals that the figures do not meet, of those that a run with `most` sockets can."""
    short = {
        name: f"{figures[name]}, goal at least {goal}"
        for name, goal in AT_LEAST.items()
        if most >= MOST_SOCKETS and figures[name] < goal
    }
    return short | {
        name: f"{figures[name]}, goal at most {goal}"
        for name, goal in AT_MOST.items()
        if name in figures and figures[name] > goal
    }


@contextlib.contextmanager
def _own_core(pin: bool) -> Iterator[int | None]:
    """A core that this process and its children keep off, where there is more than one."""
    cores = os.sched_getaffinity(0)
    if not pin or len(cores) == 1:
        yield None
        return
    core = min(cores)
    os.sched_setaffinity(0, cores - {core})
    try:
        yield core
    finally:
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def _redis() -> Iterator[str]:
    """A private Valkey: nobody else's messages, nobody else's keys."""
    from mockmarket.core.processes import valkey_command

    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="mm-valkey-") as folder:
        process = subprocess.Popen(
            valkey_command(port=port, folder=Path(folder)), stdout=subprocess.DEVNULL
        )
        try:
            _await_port(port)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            process.wait()


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_port(port: int) -> None:
    import socket

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--server", choices=("uvicorn", "daphne"), default="uvicorn")
    parser.add_argument("--sockets", type=int, default=MOST_SOCKETS, help="the most at once")
    parser.add_argument(
        "--no-pin", dest="pin", action="store_false", help="the web process on any core"
    )


if __name__ == "__main__":
    common.run("stream", measure, arguments=_arguments)
