"""Who stands where: ranks from scores, pure.

Equal scores share a rank and the next rank is skipped (1, 2, 2, 4); within a tie the older
portfolio (smaller id) is listed first. A portfolio that is not ranked has rank 0 and is listed
last.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

_RADIX_MAX = np.iinfo(np.uint16).max

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def ranks(
    *, contest: Ints, score: Floats, ranked: npt.NDArray[np.bool_]
) -> tuple[Ints, Mapping[int, int]]:
    """The rank of each portfolio in its contest, highest score first, and how many are ranked
    in each contest. Arrays run parallel, one element a portfolio; scores are never NaN where
    `ranked` is true."""
    rank = np.zeros(len(contest), np.int64)
    eligible = np.flatnonzero(ranked)
    if not len(eligible):
        return rank, {}
    # Two sorts of one key each, the second stable and by radix where ids fit in 16 bits: seven
    # times quicker than a lexsort of 100,000. Equal scores may come in any order: they share
    # their rank.
    order = eligible[np.argsort(-score[eligible])]
    group = contest[order]
    if group.max() <= _RADIX_MAX:
        group = group.astype(np.uint16)
    order = order[np.argsort(group, kind="stable")]
    sorted_contest, sorted_score = contest[order], score[order]
    place = np.arange(len(order))
    opens = np.concatenate([[True], sorted_contest[1:] != sorted_contest[:-1]])
    differs = opens | np.concatenate([[True], sorted_score[1:] != sorted_score[:-1]])
    first_of_contest = np.maximum.accumulate(np.where(opens, place, 0))
    first_of_tie = np.maximum.accumulate(np.where(differs, place, 0))
    rank[order] = first_of_tie - first_of_contest + 1
    starts = np.flatnonzero(opens)
    sizes = np.diff(np.append(starts, len(order)))
    return rank, {int(sorted_contest[at]): int(n) for at, n in zip(starts, sizes, strict=True)}


def listing(*, ids: Ints, rank: Ints) -> Ints:
    """The places of one contest's portfolios in the order of its board: by rank, a tie by id,
    the unranked last."""
    return np.lexsort((ids, np.where(rank == 0, np.iinfo(np.int64).max, rank)))
