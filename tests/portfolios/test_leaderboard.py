"""Ranks: competition ranking inside each contest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from portfolios import leaderboard

table = st.lists(
    st.tuples(st.integers(1, 3), st.sampled_from([-1.0, 0.0, 0.5, 2.0]), st.booleans()),
    max_size=40,
)


class TestRanks:
    @given(rows=table)
    def test_is_one_more_than_how_many_are_ahead_in_the_contest(
        self, rows: list[tuple[int, float, bool]]
    ) -> None:
        contest = np.array([r[0] for r in rows], np.int64)
        score = np.array([r[1] for r in rows], np.float64)
        ranked = np.array([r[2] for r in rows], np.bool_)
        rank, of = leaderboard.ranks(contest=contest, score=score, ranked=ranked)
        for place, (where, points, counted) in enumerate(rows):
            ahead = sum(1 for w, p, c in rows if c and w == where and p > points)
            assert rank[place] == (ahead + 1 if counted else 0)
        assert of == {
            where: n
            for where in {r[0] for r in rows}
            if (n := sum(1 for w, _, c in rows if c and w == where))
        }


class TestListing:
    def test_goes_by_rank_then_by_age_and_ends_with_the_unranked(self) -> None:
        order = leaderboard.listing(ids=np.array([7, 3, 5, 9]), rank=np.array([2, 2, 0, 1]))
        assert [int(place) for place in order] == [3, 1, 0, 2]
