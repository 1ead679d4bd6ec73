"""The running product's processes: restarts that users survive, and an end without orphans."""

import json
import os
import signal
import subprocess
import time
import urllib.request
from pathlib import Path

import pytest

from tests.journeys.conftest import SQLITE_ONLY
from tests.support.product import Product, copy_of, running
from tests.support.waiting import eventually

PROGRAMS = ("valkey", "exchange", "engine", "web", "worker", "beat")


def answers(product: Product, path: str = "/readyz") -> bool:
    try:
        with urllib.request.urlopen(product.url + path, timeout=5) as response:
            return response.status == 200
    except OSError:
        return False


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@SQLITE_ONLY
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_killed_process_comes_back(product: Product, program: str) -> None:
    first = product.pid_of(program)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: product.pid_of(program) != first, seconds=20)
    eventually(lambda: answers(product), seconds=60, poll=0.2)
    assert f"{program} was ended by SIGKILL" in product.output()


@SQLITE_ONLY
@pytest.mark.parametrize(
    "number",
    [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.fault)],
)
def test_nothing_is_left_behind(product: Product, number: int) -> None:
    with running("sqlite", like=product) as other:
        assert other.process is not None
        state = json.loads((other.folder / "up.json").read_text())
        pids = [row["pid"] for row in state["programs"].values()]
        assert len(pids) == len(PROGRAMS)
        assert all(alive(pid) for pid in pids)
        began = time.monotonic()
        other.process.send_signal(number)
        other.process.wait(15)
        eventually(lambda: not any(alive(pid) for pid in pids), seconds=2)
        assert time.monotonic() - began < 12
        if number != signal.SIGKILL:
            assert not (other.folder / "redis.url").exists()


@SQLITE_ONLY
def test_a_second_start_in_the_same_folder_is_one_clear_line(product: Product) -> None:
    with pytest.raises(subprocess.CalledProcessError) as failure:
        product.manage("up", "--port", "0")
    assert "already running here" in failure.value.stderr
    assert "Traceback" not in failure.value.stderr


@SQLITE_ONLY
def test_a_busy_port_is_one_clear_line(product: Product, tmp_path: Path) -> None:
    other = Product(tmp_path, {**product.environment, "VAR_DIR": str(tmp_path)})
    copy_of(product, tmp_path)
    with pytest.raises(subprocess.CalledProcessError) as failure:
        other.manage("up", "--port", str(product.port))
    assert "cannot serve on" in failure.value.stderr
    assert "Traceback" not in failure.value.stderr


@SQLITE_ONLY
def test_a_database_without_tables_is_one_clear_line(product: Product, tmp_path: Path) -> None:
    other = Product(tmp_path, {**product.environment, "VAR_DIR": str(tmp_path)})
    with pytest.raises(subprocess.CalledProcessError) as failure:
        other.manage("up", "--port", "0")
    assert "migrate" in failure.value.stderr
    assert "Traceback" not in failure.value.stderr
