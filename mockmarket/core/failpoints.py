"""Named points where a test may kill the process, to prove that a crash there loses nothing.

Off unless the environment names one: `FAILPOINT=settle.fills` kills with SIGKILL the first time
the point is reached, as a power cut would. No setting of the product turns it on.
"""

import os
import signal

_armed = os.environ.get("FAILPOINT", "")


def arm(name: str) -> None:
    """As FAILPOINT does, for a test's process that runs already. "" for none."""
    global _armed
    _armed = name


def reach(name: str) -> None:
    """Die here if the environment says so."""
    if _armed and name == _armed:
        os.kill(os.getpid(), signal.SIGKILL)
