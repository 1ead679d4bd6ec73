"""Price paths: day, minute and second levels of correlated random walks. Pure, vectorised.

Each column (the market, a sector, one instrument's own part) is a walk in units of its daily
standard deviation. Days follow a slowly returning process, so that prices stay near their
reference for years; minutes bridge the days and seconds bridge the minutes. Every level is a
function of (seed, column, instant): nothing is stored and nothing drifts.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from marketdata.exchange import noise
from marketdata.exchange.hours import Hours
from marketdata.exchange.noise import Floats, Words

# Half of a move is forgotten in 34 days; the levels wander about 5 daily moves from the middle.
_RETURN = 0.98
_DAYS = 256
_DECAY = _RETURN ** np.arange(_DAYS, -1, -1, dtype=np.float64)
SECONDS = 60


class Paths:
    """Walks of any set of columns for one seed and timetable."""

    def __init__(self, *, seed: int, hours: Hours) -> None:
        self._seed = seed
        self._hours = hours
        self.minute_variance = _variance_profile(hours.minutes)
        self._clock = np.concatenate([[0.0], np.cumsum(self.minute_variance)])

    def day_end(self, names: Words, day: date) -> Floats:
        """The level of each column at the end of `day`."""
        levels: Floats = self.day_ends(names, np.array([day.toordinal()]))[:, 0]
        return levels

    def minutes(self, names: Words, day: date) -> Floats:
        """Levels at each minute's start and the close: [columns, minutes + 1]."""
        levels: Floats = self.minutes_of(names, [day])[:, 0]
        return levels

    def minutes_of(self, names: Words, days: Sequence[date]) -> Floats:
        """The same for several days: [columns, days, minutes + 1]."""
        count = self._hours.minutes
        ordinals = np.array([day.toordinal() for day in days], dtype=np.int64)
        index = (ordinals[:, None] * 1440 + np.arange(count, dtype=np.int64)).ravel()
        steps = noise.normals(self._seed, "minute", names, index)
        steps = steps.reshape(len(names), len(days), count)
        steps *= np.sqrt(self.minute_variance)
        walk = np.zeros((len(names), len(days), count + 1))
        np.cumsum(steps, axis=2, out=walk[:, :, 1:])
        start, end = self.day_ends(names, ordinals - 1), self.day_ends(names, ordinals)
        walk += start[:, :, None]
        walk += (end - walk[:, :, -1])[:, :, None] * self._clock
        return walk

    def day_ends(self, names: Words, ordinals: npt.NDArray[np.int64]) -> Floats:
        """Levels at the end of days, given by their ordinals: [columns, days]."""
        first = int(ordinals.min()) - _DAYS
        index = np.arange(first, int(ordinals.max()) + 1, dtype=np.int64)
        draws = noise.normals(self._seed, "day", names, index)
        windows = np.lib.stride_tricks.sliding_window_view(draws, _DAYS + 1, axis=1)
        levels: Floats = windows[:, ordinals - _DAYS - first] @ _DECAY
        return levels

    def seconds(self, names: Words, day: date, edges: Floats, first: int) -> Floats:
        """Levels at each second of the minutes from `first`: [columns, minutes × 60 + 1].

        `edges` are those minutes' levels from `minutes`, one more than there are minutes.
        """
        count = edges.shape[1] - 1
        index = (np.int64(day.toordinal()) * 1440 + first) * SECONDS + np.arange(
            count * SECONDS, dtype=np.int64
        )
        steps = noise.normals(self._seed, "second", names, index)
        steps = steps.reshape(len(names), count, SECONDS)
        variance = self.minute_variance[first : first + count] / SECONDS
        steps *= np.sqrt(variance)[:, None]
        walk = np.cumsum(steps, axis=2, out=steps)
        # Tie each minute's walk to its two edges.
        miss = np.diff(edges, axis=1) - walk[:, :, -1]
        walk += miss[:, :, None] * (np.arange(1, SECONDS + 1) / SECONDS)
        walk += edges[:, :-1, None]
        return np.concatenate([edges[:, :1], walk.reshape(len(names), -1)], axis=1)


@lru_cache(maxsize=64)
def u_shape(count: int) -> Floats:
    """Shares of a day's volume by minute: heavy at the open and the close. Sums to one."""
    place = (np.arange(count) + 0.5) / count * 2 - 1
    shape = 0.55 + 1.6 * place**4 + 0.5 * np.exp(-(place + 1) * 12)
    share: Floats = shape / shape.sum()
    return share


def _variance_profile(count: int) -> Floats:
    """Variance by minute, a milder U. Sums to one daily variance."""
    shape = np.sqrt(u_shape(count))
    profile: Floats = shape / shape.sum()
    return profile


def running(parts: Floats) -> Floats:
    """Sums before each part and after the last: [parts + 1, …]."""
    sums = np.zeros((len(parts) + 1, parts.shape[1]))
    np.cumsum(parts, axis=0, out=sums[1:])
    return sums


def stretch(counts: Floats, bars: npt.NDArray[np.int32]) -> Floats:
    """Second points [minutes × 60 + 1, shares], fitted between the minutes' highs and lows.

    What rises above both ends of a minute is scaled to reach its high exactly, what falls below
    both to reach its low, so a bar folded from live ticks is the bar that history serves.
    """
    inner = counts[1:].reshape(len(bars), SECONDS, -1)
    ends = bars[:, :, (0, 3)]
    top, bottom = ends.max(axis=2)[:, None], ends.min(axis=2)[:, None]
    for edge, reach, sign in ((top, bars[:, None, :, 1], 1.0), (bottom, bars[:, None, :, 2], -1.0)):
        beyond = (inner - edge) * sign
        farthest = beyond.max(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(farthest > 0, (reach - edge) * sign / farthest, 1.0)
        np.copyto(inner, edge + sign * beyond * scale, where=beyond > 0)
    inner[:, -1] = bars[:, :, 3]
    counts[0] = bars[0, :, 0]
    counts[1:] = inner.reshape(len(counts) - 1, -1)
    return counts
