"""Contests, portfolio, books and leaderboard over REST."""

from datetime import timedelta

import pytest

from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios.models import Contest, Position
from tests.support.api import client_of, live_market, share, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return student("alice")


@pytest.fixture
def contest() -> Contest:
    return Contest.objects.create(
        name="Class of 2026",
        slug="class-2026",
        state=Contest.State.RUNNING,
        starts_at=clock.now() - timedelta(days=1),
        join_code="JOINME",
        created_at=clock.now(),
    )


class TestPortfolio:
    def test_opens_with_the_contest_cash(self, alice: User) -> None:
        body = client_of(alice).get("/api/v1/portfolio/").json()
        assert body["contest"] == "practice"
        assert body["cash"] == body["equity"] == body["buying_power"] == "1000000.00"
        assert (body["invested"], body["return_percent"]) == ("0.00", "0.0000")

    def test_values_positions_at_live_prices(self, alice: User) -> None:
        row = share("RELIANCE")
        portfolio = alice.portfolios.get()
        now = clock.now()
        Position.objects.create(
            portfolio=portfolio,
            instrument=row,
            product="CNC",
            quantity=10,
            cost="1000.00",
            opened_at=now,
            updated_at=now,
        )
        live_market({row: 110.0})
        [position] = client_of(alice).get("/api/v1/positions/").json()["results"]
        assert position["average_price"] == "100.00"
        assert (position["value"], position["unrealised_pnl"]) == ("1100.00", "100.00")
        assert len(client_of(alice).get("/api/v1/holdings/").json()["results"]) == 1

    def test_of_a_contest_not_joined_is_404(self, alice: User, contest: Contest) -> None:
        for path in ("portfolio", "positions", "holdings", "ledger"):
            for name in (contest.slug, contest.pk, "nothing", "9" * 60):
                answer = client_of(alice).get(f"/api/v1/{path}/", {"contest": name})
                assert answer.status_code == 404, path
                assert answer.json()["error"]["code"] == "no_portfolio"

    def test_ledger_shows_balanced_postings(self, alice: User) -> None:
        [entry] = client_of(alice).get("/api/v1/ledger/").json()["results"]
        assert entry["kind"] == "OPENING"
        assert {p["account"]: p["amount"] for p in entry["postings"]} == {
            "CASH": "1000000.00",
            "CAPITAL": "-1000000.00",
        }
        later = client_of(alice).get("/api/v1/ledger/?since=2099-01-01T00:00:00Z").json()
        assert later["results"] == []
        assert client_of(alice).get("/api/v1/ledger/?since=soon").status_code == 400


class TestContests:
    def test_are_joined_by_code_and_left(self, alice: User, contest: Contest) -> None:
        client = client_of(alice)
        joined = client.post("/api/v1/contests/join/", {"code": "joinme"}, format="json")
        assert joined.status_code == 201
        assert joined.json()["contest"] == "class-2026"
        listed = client.get("/api/v1/contests/").json()["results"]
        assert {row["slug"]: row["joined"] for row in listed}["class-2026"] is True
        assert "JOINME" not in client.get("/api/v1/contests/").content.decode()
        assert client.get("/api/v1/portfolio/?contest=class-2026").status_code == 200
        assert client.post("/api/v1/contests/class-2026/leave/").status_code == 200
        assert client.get("/api/v1/portfolio/?contest=class-2026").status_code == 404

    def test_unknown_code(self, alice: User) -> None:
        answer = client_of(alice).post("/api/v1/contests/join/", {"code": "X"}, format="json")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_join_code"

    def test_rules_are_shown(self, alice: User, contest: Contest) -> None:
        body = client_of(alice).get(f"/api/v1/contests/{contest.pk}/").json()
        assert body["slug"] == contest.slug
        assert "leverage_max" in body["rules"]

    def test_drafts_are_hidden(self, alice: User, contest: Contest) -> None:
        Contest.objects.filter(pk=contest.pk).update(state=Contest.State.DRAFT)
        assert client_of(alice).get(f"/api/v1/contests/{contest.slug}/").status_code == 404


class TestLeaderboard:
    def test_ranks_everybody_and_shows_the_caller(self, alice: User) -> None:
        for name in ("bob", "charlie", "dana"):
            student(name)
        body = client_of(alice).get("/api/v1/contests/practice/leaderboard/?limit=3").json()
        assert len(body["results"]) == 3
        assert body["total"] == 4
        assert body["me"]["alias"] == "alice"
        second = client_of(alice).get(body["next"]).json()
        assert len(second["results"]) == 1
        assert second["next"] is None
        assert second["previous"]

    def test_unknown_board(self, alice: User) -> None:
        answer = client_of(alice).get("/api/v1/contests/practice/leaderboard/?board=luck")
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "unknown_board"
