"""Who stands where: ranks from scores, pure.

Equal scores share a rank and the next rank is skipped (1, 2, 2, 4); within a tie the older
portfolio (smaller id) is listed first. A portfolio that is not ranked has rank 0 and is listed
last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BYTE_MAX = np.iinfo(np.uint8).max
_RADIX_MAX = np.iinfo(np.uint16).max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contests:
    """Who competes with whom: what ranking needs and prices do not change. Arrays run parallel,
    one element a ranked portfolio; `offset` and `opens` are in the order of a board, contest
    after contest."""

    total: int  # portfolios, those not ranked included
    eligible: Ints  # the places of the ranked
    group: npt.NDArray[np.unsignedinteger] | Ints  # of each of them: the number of its contest
    offset: Ints  # where its contest begins
    opens: Ints  # where each contest begins
    of: Mapping[int, int]  # contest id -> portfolios ranked

    @classmethod
    def among(cls, *, contest: Ints, ranked: npt.NDArray[np.bool_]) -> "Contests":
        """From two parallel arrays, one element a portfolio."""
        eligible = np.flatnonzero(ranked)
        ids, group, sizes = np.unique(contest[eligible], return_inverse=True, return_counts=True)
        if len(ids) - 1 <= _RADIX_MAX:  # which a stable sort does by radix, the quicker the fewer
            group = group.astype(np.uint8 if len(ids) - 1 <= _BYTE_MAX else np.uint16)
        opens = np.cumsum(sizes) - sizes
        return cls(
            total=len(contest),
            eligible=eligible,
            group=group,
            offset=np.repeat(opens, sizes),
            opens=opens,
            of={int(key): int(size) for key, size in zip(ids, sizes, strict=True)},
        )

    def ranks(self, score: Floats) -> Ints:
        """The rank of each portfolio in its contest, highest score first; 0 is not ranked. One
        score a portfolio, never NaN for a ranked one."""
        rank = np.zeros(self.total, np.int64)
        if not len(self.eligible):
            return rank
        # Two sorts of one key each, the second stable: seven times quicker than a lexsort of
        # 100,000. Equal scores may come in any order: they share their rank.
        falling = -score[self.eligible]
        order = np.argsort(falling)
        order = order[np.argsort(self.group[order], kind="stable")]
        falling = falling[order]
        differs = np.empty(len(order), bool)
        np.not_equal(falling[1:], falling[:-1], out=differs[1:])
        differs[self.opens] = True
        place = np.arange(len(order))
        if not differs.all():
            place = np.maximum.accumulate(np.where(differs, place, 0))
        rank[self.eligible[order]] = place - self.offset + 1
        return rank


def ranks(
    *, contest: Ints, score: Floats, ranked: npt.NDArray[np.bool_]
) -> tuple[Ints, Mapping[int, int]]:
    """The rank of each portfolio in its contest, highest score first, and how many are ranked
    in each contest. Arrays run parallel, one element a portfolio; scores are never NaN where
    `ranked` is true."""
    among = Contests.among(contest=contest, ranked=ranked)
    return among.ranks(score), among.of


def listing(*, ids: Ints, rank: Ints) -> Ints:
    """The places of one contest's portfolios in the order of its board: by rank, a tie by id,
    the unranked last."""
    return np.lexsort((ids, np.where(rank == 0, np.iinfo(np.int64).max, rank)))
