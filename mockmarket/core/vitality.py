"""Who a process is, said so that another process of the same machine can tell when it is gone.

A number alone is not enough: another process may have it now, and in another container or on
another machine it means something else. So: the kernel's boot, the namespace of process numbers,
the number, and when the process started.
"""

import os
from pathlib import Path


def identity() -> str:
    """This process."""
    pid = os.getpid()
    return f"{_here()}/{pid}:{_started(pid)}"


def is_gone(who: str) -> bool:
    """Whether that process ran here and has ended. False where that cannot be known."""
    here, _, process = who.partition("/")
    number, _, started = process.partition(":")
    if not here or here != _here() or not number.isdecimal():
        return False
    try:
        # Asked of the kernel, as /proc may hide the processes of other users.
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return _started(int(number)) not in {"", started}


def _here() -> str:
    """The kernel that runs, and whose process numbers these are; "" where a sandbox hides it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _started(pid: int) -> str:
    """When it started, in the kernel's ticks; "ended" for one that only waits to be reaped;
    "" where that cannot be read."""
    try:
        # After the name in brackets, which may hold anything: state is field 3, start field 22.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "ended" if fields[0] in "ZX" else fields[19]
