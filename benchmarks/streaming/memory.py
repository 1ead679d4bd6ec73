"""Whether a process grows: for the soak of the benchmark and of `tests/faults/test_soak.py`."""

from collections.abc import Sequence
from statistics import median


def mib_per_hour(points: Sequence[tuple[float, float]]) -> float:
    """The slope of (seconds, MiB): the median over all pairs of points (Theil and Sen).

    The allocator takes memory an arena of one MiB at a time. By least squares a single one, in the
    middle of ten minutes, is a slope of 9 MiB/h; for the median it is none, wherever it comes, and
    a leak is what it is.
    """
    return 3600 * median(
        (rss - rss_before) / (at - before)
        for number, (before, rss_before) in enumerate(points)
        for at, rss in points[number + 1 :]
    )
