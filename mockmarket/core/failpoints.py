"""Named points where a test may kill the process, to prove that a crash there loses nothing.

Off unless the environment names one: `FAILPOINT=settle.fills` kills with SIGKILL the first time
the point is reached, as a power cut would. No setting of the product turns it on.
"""

import os
import signal

_NAME = os.environ.get("FAILPOINT", "")


def reach(name: str) -> None:
    """Die here if the environment says so."""
    if _NAME and name == _NAME:
        os.kill(os.getpid(), signal.SIGKILL)
