"""The supervisor against real processes: restarts, ordered end, and no orphan by any death."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from mockmarket.core.management.commands import up
from tests.support.waiting import eventually

# Runs a supervisor over the programs described in a JSON file.
RUNNER = """
import asyncio, json, sys
from pathlib import Path
from mockmarket.core import supervisor
folder = Path(sys.argv[1])
supervisor.STEADY_SECONDS = float(sys.argv[2])
programs = [supervisor.Program(**row) for row in json.loads((folder / "programs.json").read_text())]
boss = supervisor.Supervisor(programs, state_file=folder / "state.json")
asyncio.run(boss.run())
"""
SLEEP = "import time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    "print('up', flush=True); time.sleep(600)"
)
# Leaves a grandchild in the same process group.
PARENT = (
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
    "print('grandchild', p.pid, flush=True); time.sleep(600)"
)


class Run:
    """A supervisor process under test, with what it printed so far."""

    def __init__(self, folder: Path, programs: list[dict], *, steady: float = 30.0) -> None:
        (folder / "programs.json").write_text(json.dumps(programs))
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", RUNNER, str(folder), str(steady)],
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def output(self) -> str:
        return self.log.read_text()

    def pid_of(self, name: str) -> int | None:
        return json.loads((self.folder / "state.json").read_text())["programs"][name]["pid"]

    def restarts_of(self, name: str) -> int:
        return json.loads((self.folder / "state.json").read_text())["programs"][name]["restarts"]


def program(name: str, code: str, **more: object) -> dict:
    return {"name": name, "command": [sys.executable, "-c", code], **more}


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie waiting for its reaper does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


@pytest.fixture
def start(tmp_path: Path) -> Iterator:
    runs: list[Run] = []

    def begin(programs: list[dict], **options: float) -> Run:
        run = Run(tmp_path, programs, **options)
        runs.append(run)
        eventually(lambda: run.output().count("| up") >= len(programs), seconds=20)
        return run

    yield begin
    for run in runs:
        run.process.kill()
        run.process.wait()


def test_output_carries_the_program_s_name(start) -> None:
    run = start([program("alpha", SLEEP), program("be", SLEEP)])
    assert "alpha | up" in run.output()
    assert "be    | up" in run.output()


def test_a_killed_program_is_started_again_and_the_fact_is_shown(start) -> None:
    run = start([program("alpha", SLEEP)])
    first = run.pid_of("alpha")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: run.restarts_of("alpha") == 1 and run.pid_of("alpha") != first)
    assert "alpha was ended by SIGKILL" in run.output()
    assert "restart 1 in 0.5 s" in run.output()


def test_back_off_grows_while_a_program_keeps_dying(start) -> None:
    run = start([program("alpha", "print('up', flush=True); raise SystemExit(3)")])
    eventually(lambda: "restart 3 in 2 s" in run.output(), seconds=15)
    assert "alpha exited with 3" in run.output()


def test_back_off_begins_again_after_a_steady_life(start) -> None:
    run = start(
        [program("alpha", "import time; print('up', flush=True); time.sleep(0.3)")], steady=0.1
    )
    eventually(lambda: "restart 3" in run.output(), seconds=15)
    assert "in 1 s" not in run.output()


def test_a_command_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    run = Run(tmp_path, [{"name": "alpha", "command": ["/nonexistent/thing"]}])
    eventually(lambda: "alpha cannot start" in run.output())
    run.process.terminate()
    assert run.process.wait(10) == 0
    assert "Traceback" not in run.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all_and_leaves_no_orphan(start, number: int) -> None:
    run = start([program("alpha", SLEEP), program("beta", SLEEP)])
    pids = [run.pid_of("alpha"), run.pid_of("beta")]
    run.process.send_signal(number)
    assert run.process.wait(10) == 0
    assert not any(alive(pid) for pid in pids)
    assert not (run.folder / "state.json").exists()


def test_a_program_deaf_to_sigterm_is_killed_within_ten_seconds(start) -> None:
    run = start([program("alpha", STUBBORN)])
    pid = run.pid_of("alpha")
    began = time.monotonic()
    run.process.terminate()
    run.process.wait(12)
    assert time.monotonic() - began < 10
    assert not alive(pid)
    assert "did not end in time" in run.output()


def test_a_second_interrupt_does_not_wait(start) -> None:
    run = start([program("alpha", STUBBORN)])
    run.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    run.process.send_signal(signal.SIGINT)
    run.process.wait(3)


def test_the_store_is_stopped_after_its_users(start, tmp_path: Path) -> None:
    code = (
        "import signal, sys, time\n"
        "def end(*_):\n"
        "    open(sys.argv[1], 'a').write(sys.argv[2] + '\\n'); sys.exit()\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('up', flush=True); time.sleep(600)"
    )
    order = tmp_path / "order"
    programs = [program("store", code, stop_last=True), program("user", code)]
    for row in programs:
        row["command"] += [str(order), row["name"]]
    run = start(programs)
    run.process.terminate()
    run.process.wait(10)
    assert order.read_text().split() == ["user", "store"]


@pytest.mark.parametrize("how", ["stop", "die"])
def test_grandchildren_end_with_their_program(start, how: str) -> None:
    run = start([program("alpha", PARENT.replace("print('grandchild', ", "print('up', "))])
    grandchild = int(run.output().split("| up ")[1].split()[0])
    assert alive(grandchild)
    if how == "stop":
        run.process.terminate()
        run.process.wait(10)
    else:
        os.kill(run.pid_of("alpha"), signal.SIGKILL)
    eventually(lambda: not alive(grandchild))


def test_killing_the_supervisor_itself_leaves_no_orphan(start) -> None:
    run = start([program("alpha", STUBBORN), program("beta", SLEEP)])
    pids = [run.pid_of("alpha"), run.pid_of("beta")]
    run.process.kill()
    run.process.wait(5)
    eventually(lambda: not any(alive(pid) for pid in pids))


def test_control_without_the_death_signal_an_orphan_stays(start) -> None:
    """Signal 0 switches the kernel's parent-death signal off; then the check above must fail."""
    run = start([program("alpha", SLEEP, death_signal=0)])
    pid = run.pid_of("alpha")
    run.process.kill()
    run.process.wait(5)
    time.sleep(0.5)
    try:
        assert alive(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_reserved_port_is_for_one_product_and_its_server() -> None:
    with ExitStack() as first, ExitStack() as second:
        port = up.reserve_port(first)
        assert up.reserve_port(second, port) != port
        with socket.create_server(("127.0.0.1", port)):  # sets SO_REUSEADDR, as servers do
            socket.create_connection(("127.0.0.1", port)).close()
        with socket.create_server(("127.0.0.1", port)):  # and again after a restart
            pass
    with ExitStack() as third:
        assert up.reserve_port(third) > 0


def test_a_dead_program_has_no_process_in_the_state_file(start) -> None:
    run = start([program("alpha", SLEEP)])
    os.kill(run.pid_of("alpha"), signal.SIGKILL)
    eventually(lambda: run.pid_of("alpha") is None)
    eventually(lambda: run.pid_of("alpha") is not None)
