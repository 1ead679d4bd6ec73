"""Runs programs side by side: prefixes their output, restarts what dies, leaves no orphan.

Knows nothing of Django or of what it runs. Every child leads a process group of its own and asks
the kernel to be signalled when the supervisor dies (PR_SET_PDEATHSIG), so that even `kill -9` of
the supervisor leaves nothing behind. Linux only.
"""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
# A program that lived this long starts again at the first step of the back-off.
STEADY_SECONDS = 30.0
READY_SECONDS = 60.0
READY_TOLD_SECONDS = 5.0
READY_POLL_SECONDS = 0.1
STOP_SECONDS = 7.0
STOP_LAST_SECONDS = 2.0
LINE_BYTES_MAX = 64 * 1024
COLOURS = ("36", "32", "33", "35", "34", "96", "92", "93", "95", "94")
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. `ready` is polled before the supervisor calls itself ready; with `gate`, also
    before the next program is started. It runs in a thread and must answer within a second."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: Sequence[int] = ()
    ready: Callable[[], bool] | None = None
    gate: bool = False
    # Stopped only after all others have ended (a broker, a database).
    stop_last: bool = False
    # What the kernel sends when the supervisor is killed. SIGKILL cannot be ignored; a store
    # that saves on SIGTERM may prefer that.
    death_signal: int = signal.SIGKILL


@dataclass(slots=True)
class _Child:
    """A program and its current process; owned by one supervising task."""

    program: Program
    prefix: str
    process: asyncio.subprocess.Process | None = None
    output: asyncio.StreamReader | None = None
    started: float = 0.0
    restarts: int = 0
    failures: int = 0


class Supervisor:
    """Runs programs until told to stop. One instance runs once."""

    def __init__(
        self,
        programs: Sequence[Program],
        *,
        write: Callable[[str], None] | None = None,
        colour: bool = False,
        state_file: Path | None = None,
        on_ready: Callable[[], None] | None = None,
    ) -> None:
        width = max(len(program.name) for program in programs)
        self._children = [
            _Child(program, _prefix(program.name.ljust(width), index, colour))
            for index, program in enumerate(programs)
        ]
        self._own_prefix = _prefix("up".ljust(width), None, colour)
        self._write = write or _write_stdout
        self._state_file = state_file
        self._on_ready = on_ready
        self._stopping = asyncio.Event()
        self._impatient = asyncio.Event()

    def stop(self) -> None:
        """Ask everything to end; asked a second time, kill it."""
        if self._stopping.is_set():
            self._impatient.set()
        self._stopping.set()

    async def run(self) -> None:
        """Start all programs in order, keep them running, return when all have ended.

        SIGINT, SIGTERM and SIGHUP stop it. Must run in the main thread: the kernel's
        parent-death signal follows the thread that forked.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.stop)
        tasks = []
        try:
            for child in self._children:
                if self._stopping.is_set():
                    break
                await self._start(child)
                tasks.append(asyncio.create_task(self._keep(child)))
                if child.program.gate:
                    await self._until_ready(child)
            for child in self._children:
                await self._until_ready(child)
            if self._on_ready and not self._stopping.is_set():
                self._on_ready()
            await self._stopping.wait()
        finally:
            self._stopping.set()
            await self._end_all()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            if self._state_file:
                self._state_file.unlink(missing_ok=True)

    def say(self, text: str) -> None:
        """A line of the supervisor's own, among the programs' lines."""
        self._line(self._own_prefix, text)

    # --- one child ----------------------------------------------------------------------
    async def _start(self, child: _Child) -> None:
        program = child.program
        child.started = time.monotonic()
        # A pipe of our own: with asyncio's, `wait` returns only when the pipe is closed, and a
        # grandchild can hold it open long after the program has ended.
        reading, writing = os.pipe()
        child.output = await _reader(reading)
        try:
            child.process = await asyncio.create_subprocess_exec(
                *program.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writing,
                stderr=writing,
                env={**os.environ, **program.environment},
                pass_fds=program.pass_fds,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid(), program.death_signal),
            )
        except OSError as error:
            child.process = None
            self.say(f"{program.name} cannot start: {error}")
        finally:
            os.close(writing)
        self._write_state()

    async def _keep(self, child: _Child) -> None:
        """Copy a program's output, and start it again whenever it ends."""
        while True:
            code: int | None = None
            if child.process is not None:
                code = await self._copy_until_ended(child, child.process)
                child.process = None
            if self._stopping.is_set():
                return
            self._write_state()  # whoever reads it must not take the dead one for the program
            lived = time.monotonic() - child.started
            child.failures = 0 if lived >= STEADY_SECONDS else child.failures + 1
            delay = BACKOFF_SECONDS[min(max(child.failures - 1, 0), len(BACKOFF_SECONDS) - 1)]
            child.restarts += 1
            self.say(
                f"{child.program.name} {_ending(code)} after {lived:.1f} s;"
                f" restart {child.restarts} in {delay:g} s"
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=delay)
            if self._stopping.is_set():
                return
            await self._start(child)

    async def _copy_until_ended(self, child: _Child, process: asyncio.subprocess.Process) -> int:
        assert child.output is not None
        copying = asyncio.create_task(self._copy(child.prefix, child.output))
        code = await process.wait()
        _signal_group(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(copying, timeout=1)
        return code

    async def _copy(self, prefix: str, stream: asyncio.StreamReader) -> None:
        pending = b""
        while chunk := await stream.read(LINE_BYTES_MAX):
            *lines, pending = (pending + chunk).split(b"\n")
            if len(pending) > LINE_BYTES_MAX:
                lines, pending = [*lines, pending], b""
            for line in lines:
                self._line(prefix, line.decode(errors="replace").rstrip("\r"))
        if pending:
            self._line(prefix, pending.decode(errors="replace"))

    async def _until_ready(self, child: _Child) -> None:
        ready = child.program.ready
        began = told = time.monotonic()
        while ready is not None and not self._stopping.is_set():
            if await asyncio.to_thread(ready):
                return
            now = time.monotonic()
            if now - began > READY_SECONDS:
                self.say(f"{child.program.name} is not ready after {READY_SECONDS:.0f} s")
                return
            if now - told > READY_TOLD_SECONDS:
                told = now
                self.say(f"waiting for {child.program.name} ({now - began:.0f} s)")
            await asyncio.sleep(READY_POLL_SECONDS)

    # --- the end ------------------------------------------------------------------------
    async def _end_all(self) -> None:
        first = [child for child in self._children if not child.program.stop_last]
        last = [child for child in self._children if child.program.stop_last]
        await self._end(first, STOP_SECONDS)
        await self._end(last, STOP_LAST_SECONDS)

    async def _end(self, children: Sequence[_Child], seconds: float) -> None:
        alive = [child.process for child in children if child.process is not None]
        for process in alive:
            if process.returncode is None:
                # The leader alone: it ends its own workers in order.
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
        ended = asyncio.create_task(_all_ended(alive))
        impatient = asyncio.create_task(_when_set(self._impatient))
        await asyncio.wait({ended, impatient}, timeout=seconds, return_when="FIRST_COMPLETED")
        impatient.cancel()
        for child in children:
            if child.process is not None and child.process.returncode is None:
                self.say(f"{child.program.name} did not end in time: killed")
        for process in alive:
            _signal_group(process.pid, signal.SIGKILL)
        await ended

    # --- what is shown ------------------------------------------------------------------
    def _line(self, prefix: str, text: str) -> None:
        try:
            self._write(f"{prefix}{text}\n")
        except OSError:  # the terminal or the pipe behind us is gone
            self._stopping.set()

    def _write_state(self) -> None:
        if self._state_file is None:
            return
        state = {
            "pid": os.getpid(),
            "programs": {
                child.program.name: {
                    "pid": child.process.pid if child.process else None,
                    "restarts": child.restarts,
                }
                for child in self._children
            },
        }
        temporary = self._state_file.with_suffix(".tmp")
        temporary.write_text(json.dumps(state))
        temporary.replace(self._state_file)


async def _all_ended(processes: Sequence[asyncio.subprocess.Process]) -> None:
    for process in processes:
        await process.wait()


async def _when_set(event: asyncio.Event) -> None:
    await event.wait()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


def _die_with_parent(parent: int, number: int) -> Callable[[], None]:
    def before_exec() -> None:
        _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and prctl
            os._exit(1)

    return before_exec


def _signal_group(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


def _ending(code: int | None) -> str:
    if code is None:
        return "did not start"
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"exited with {code}"


def _prefix(name: str, index: int | None, colour: bool) -> str:
    if not colour:
        return f"{name} | "
    code = "1" if index is None else COLOURS[index % len(COLOURS)]
    return f"\033[{code}m{name} |\033[0m "


def _write_stdout(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
