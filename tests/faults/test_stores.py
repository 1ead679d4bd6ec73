"""The database away, its pool exhausted, the disk full: clear refusals, then as before, by itself.

Figures are of ../shared's catalogue: T9 and T22. A PostgreSQL of the test's own is broken, and the
running product is asked as programs and browsers ask it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from tests.faults.student import Student
from tests.support import services
from tests.support.product import Product, running
from tests.support.waiting import eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(600)]
ANSWER_SECONDS_MAX = 3.0


@pytest.fixture(scope="module")
def server() -> Iterator[services.Server]:
    started = services.start_postgres()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def product(server: services.Server) -> Iterator[Product]:
    url = services.create_database(server.url, "faults")
    with running("sqlite", DATABASE_URL=url, DATABASE_POOL_MAX="4") as started:
        yield started


def connections(server: services.Server) -> int:
    with psycopg.connect(server.url) as admin:
        found = admin.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'faults'"
        ).fetchone()
    assert found is not None
    return int(found[0])


def test_every_connection_cut_is_an_order_refused_or_booked(
    product: Product, server: services.Server
) -> None:
    student = Student(product, "student01")
    back: list[float] = []
    for _ in range(5):
        assert eventually(student.ordered, seconds=10)
        with psycopg.connect(server.url) as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'faults'"
            )
        began = time.monotonic()
        assert student.order().status_code in {201, 503}
        assert eventually(student.ordered, seconds=10)
        back.append(time.monotonic() - began)
    student.prove(product)
    print(f"orders again after {max(back):.1f} s at most")  # noqa: T201


def test_a_table_locked_away_fills_the_pool_and_answers_soon(
    product: Product, server: services.Server
) -> None:
    student = Student(product, "student02")
    assert eventually(student.ordered, seconds=10)
    with psycopg.connect(product.environment["DATABASE_URL"]) as holder:
        holder.execute("LOCK TABLE portfolios_portfolio IN ACCESS EXCLUSIVE MODE")
        answer = student.refused()
        assert answer.json()["error"]["code"] == "service_unavailable"
        assert int(answer.headers["Retry-After"]) >= 1
        assert connections(server) <= 4 * 5 + 1  # web, engine, worker, beat, and a command
        holder.rollback()
    assert eventually(student.ordered, seconds=10)
    student.prove(product)


def test_a_killed_server_is_said_on_page_and_api_and_forgotten_after_it_is_back(
    product: Product, server: services.Server
) -> None:
    student = Student(product, "student03")
    assert eventually(student.ordered, seconds=10)
    restart = _kill(server)
    answer = student.refused()
    student.slowest = 0.0
    answer = student.order()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert student.slowest <= ANSWER_SECONDS_MAX
    said = student.slowest
    ready = requests.get(f"{product.url}/readyz", timeout=10)
    assert ready.status_code == 503
    page = requests.get(f"{product.url}/", cookies={"sessionid": "a" * 32}, timeout=10)
    assert page.status_code in {302, 503}  # 302: the session is in the cache
    restart()
    began = time.monotonic()
    assert eventually(student.ordered, seconds=10)
    back = time.monotonic() - began
    eventually(lambda: requests.get(f"{product.url}/readyz", timeout=10).status_code == 200)
    print(f"503 after {said:.2f} s, orders again after {back:.1f} s")  # noqa: T201
    student.prove(product)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_refuses_orders_and_keeps_the_books(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", small], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with running("sqlite", DATABASE_URL=f"sqlite:///{small}/db.sqlite3") as product:
            student = Student(product, "student04")
            assert eventually(student.ordered, seconds=20)
            ballast = small / "ballast"
            subprocess.run(["dd", "if=/dev/zero", f"of={ballast}", "bs=4k"], capture_output=True)
            assert student.refused().json()["error"]["code"] == "service_unavailable"
            ballast.unlink()
            began = time.monotonic()
            assert eventually(student.ordered, seconds=30)
            print(f"room again: orders after {time.monotonic() - began:.1f} s")  # noqa: T201
            student.prove(product)
    finally:
        subprocess.run(["umount", "-l", small], check=False)


def _kill(server: services.Server):
    """Kill the server and all its processes; returns what starts it again on the same data."""
    arguments = Path(f"/proc/{server.process.pid}/cmdline").read_bytes().split(b"\0")[:-1]
    owner = Path(f"/proc/{server.process.pid}").stat().st_uid
    server.process.send_signal(signal.SIGQUIT)  # immediate: as after a power cut
    server.process.wait(20)

    def restart() -> None:
        program = [item.decode() for item in arguments]
        if owner != os.geteuid():
            program = [
                shutil.which("setpriv") or "setpriv",
                f"--reuid={owner}",
                "--clear-groups",
                *program,
            ]
        server.process = subprocess.Popen(
            program,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "LC_ALL": "C", "HOME": str(server.folder)},
        )

    return restart
