"""The workload that every contestant gets: 2,200 instruments that tick once a second, sockets that
follow 100 random ones each."""

import random
from typing import Final

INSTRUMENTS: Final = 2_200
PER_SOCKET: Final = 100
BEAT_SECONDS: Final = 0.020


def key(number: int) -> str:
    """The key of an instrument, as long as a real one."""
    return f"NSE_EQ|INE{number:06d}018"


KEYS: Final = [key(number) for number in range(INSTRUMENTS)]


def followed(socket: int) -> list[str]:
    """What socket number `socket` follows: the same in every run."""
    return random.Random(socket).sample(KEYS, PER_SOCKET)
