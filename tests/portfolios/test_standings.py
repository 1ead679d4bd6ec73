"""Leaderboards: one snapshot, stable order, own row."""

from datetime import timedelta

import pytest

from mockmarket.core import redis
from portfolios import services, snapshots, standings
from portfolios.models import Contest
from tests.portfolios.support import AT, contest, hold, instrument, user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quiet_engine() -> None:
    redis.client().delete(redis.key("valuation"))


def _class_of(where: Contest, *names: str) -> dict[str, int]:
    return {
        name: services.open_portfolio(user=user(name, alias=name), contest=where, at=AT).id
        for name in names
    }


class TestLeaderboard:
    def test_ranks_by_return_with_shared_ranks(self) -> None:
        where, share = contest(), instrument("ACME", last="110")
        alice = services.open_portfolio(user=user("alice", alias="Alice"), contest=where, at=AT)
        _class_of(where, "bob", "carol")
        hold(alice, share, 1000, "100000.00")
        board = standings.leaderboard(contest=where, at=AT, user=alice.user)
        assert [(row.rank, row.alias) for row in board.rows] == [
            (1, "Alice"),
            (2, "bob"),
            (2, "carol"),
        ]
        assert board.me is not None
        assert (board.me.rank, board.me.return_percent, board.of) == (1, 1.0, 3)

    def test_pages_and_always_has_my_row(self) -> None:
        where = contest()
        members = _class_of(where, *(f"s{n}" for n in range(7)))
        mine = services.Portfolio.objects.get(id=members["s6"]).user
        board = standings.leaderboard(contest=where, at=AT, user=mine, limit=3, after=3)
        assert [row.alias for row in board.rows] == ["s3", "s4", "s5"]
        assert board.me is not None
        assert board.me.alias == "s6"
        assert board.total == 7

    def test_lists_the_inactive_without_a_rank(self) -> None:
        where = contest(rules={"minimum_fills": 1})
        _class_of(where, "alice")
        [row] = standings.leaderboard(contest=where, at=AT).rows
        assert row.rank is None

    def test_of_one_contest_knows_nothing_of_another(self) -> None:
        first, second = contest("first"), contest("second")
        _class_of(first, "alice")
        _class_of(second, "bob")
        assert [r.alias for r in standings.leaderboard(contest=first, at=AT).rows] == ["alice"]

    def test_of_an_empty_contest_is_empty(self) -> None:
        assert standings.leaderboard(contest=contest(), at=AT).rows == ()

    def test_refuses_a_board_that_does_not_exist(self) -> None:
        with pytest.raises(standings.UnknownBoard):
            standings.leaderboard(contest=contest(), at=AT, board="prize")


class TestSnapshots:
    def test_survive_redis_and_expire(self) -> None:
        where = contest()
        _class_of(where, "alice", "bob")
        part = standings.recompute(contest=where, at=AT)
        snapshots.store({where.id: part})
        kept = snapshots.newest(contest_id=where.id, at=AT)
        assert kept is not None
        assert snapshots.encode(kept) == snapshots.encode(part)
        assert snapshots.newest(contest_id=where.id, at=AT + timedelta(minutes=1)) is None
        assert snapshots.newest(contest_id=0, at=AT) is None
