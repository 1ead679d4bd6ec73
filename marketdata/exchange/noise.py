"""Random numbers without state: each is a hash of (seed, stream, column, index).

Any number of any day can be had alone, so a chart of last month costs only its own numbers,
and adding an instrument changes no other instrument's path.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
# The sum of four 16-bit uniforms has this mean and standard deviation.
_SUM_MEAN = 2 * 65535.0
_SUM_STD = 65536.0 * (4 / 12) ** 0.5


def columns(names: Iterable[str]) -> Words:
    """A 64-bit identity for each name, the same on every machine."""
    return np.array(
        [
            int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")
            for name in names
        ],
        dtype=np.uint64,
    )


def normals(seed: int, stream: str, names: Words, index: npt.NDArray[np.int64]) -> Floats:
    """Standard normal numbers, one row a name and one column an index.

    They are sums of four uniforms: no tail beyond 3.5 standard deviations, which is wanted
    (no simulated price leaves its band by a single draw), at a third of the cost.
    """
    words = _hash(seed, stream, names, index)
    low = np.uint64(0xFFFF)
    total = (words & low).astype(np.float64)
    for shift in (16, 32, 48):
        total += (words >> np.uint64(shift)) & low
    total -= _SUM_MEAN
    total /= _SUM_STD
    return total


def uniforms(seed: int, stream: str, names: Words, index: npt.NDArray[np.int64]) -> Floats:
    """Uniform numbers in [0, 1), one row a name and one column an index."""
    words = _hash(seed, stream, names, index) >> np.uint64(11)
    return words.astype(np.float64) * (1.0 / (1 << 53))


def _hash(seed: int, stream: str, names: Words, index: npt.NDArray[np.int64]) -> Words:
    salt = columns([f"{seed}/{stream}"])
    rows = _mix(names ^ salt)
    return _mix(rows[:, None] + index.astype(np.uint64)[None, :] * _GOLDEN)


def _mix(words: Words) -> Words:
    """The finaliser of splitmix64, in place on a copy."""
    words = words + _GOLDEN
    words ^= words >> np.uint64(30)
    words *= _MIX_1
    words ^= words >> np.uint64(27)
    words *= _MIX_2
    words ^= words >> np.uint64(31)
    return words
