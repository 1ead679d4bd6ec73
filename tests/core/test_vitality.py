"""Whether a process of this machine is gone: never said of one that lives or cannot be known."""

import os
import subprocess
import sys

import pytest

from mockmarket.core import vitality

SAY = "from mockmarket.core import vitality; print(vitality.identity(), flush=True); input()"


@pytest.fixture
def other() -> subprocess.Popen[str]:
    """A process that says who it is and waits for a line."""
    return subprocess.Popen(
        [sys.executable, "-c", SAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def test_it_is_gone_once_it_is_killed_even_before_anybody_has_reaped_it(
    other: subprocess.Popen[str],
) -> None:
    assert other.stdout
    who = other.stdout.readline().strip()
    assert not vitality.is_gone(who)
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, and left unreaped
    assert vitality.is_gone(who)
    other.communicate()
    assert vitality.is_gone(who)


def test_another_process_with_its_number_is_not_it() -> None:
    here, _, started = vitality.identity().rpartition(":")
    assert vitality.is_gone(f"{here}:{int(started) - 1}")


@pytest.mark.parametrize("who", ["", "host:123:4", "other-boot:1/99999999:1", "b:1/x:1"])
def test_of_a_process_elsewhere_nothing_is_said(who: str) -> None:
    assert not vitality.is_gone(who)


def test_of_a_process_that_cannot_be_looked_at_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    who = vitality.identity()
    monkeypatch.setattr(vitality, "_started", lambda pid: "")  # /proc hides it
    assert not vitality.is_gone(who)


def test_where_a_sandbox_hides_the_kernel_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vitality, "_here", lambda: "")
    assert not vitality.is_gone("/99999999:1")
