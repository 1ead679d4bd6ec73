"""A frozen result follows from postings and fills, and a tampered one is found out."""

from dataclasses import replace
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import services
from portfolios.models import Contest, Result
from tests.portfolios.support import contest
from tests.trading.floor import Floor
from trading import rebuild


@pytest.fixture
def ended(floor: Floor, alice: User, bob: User, acme: Instrument) -> Contest:
    """Alice bought before a rise, Bob went in and out, and the contest ended."""
    where = contest(rules={"minimum_fills": 1})
    for who in (alice, bob):
        services.open_portfolio(user=who, contest=where, at=floor.now)
    floor.buy(alice, acme, 50, contest=where.slug)
    floor.tick(acme, 105.0, previous_close=100.0)
    floor.buy(bob, acme, 20, contest=where.slug)
    floor.tick(acme, 104.0)
    floor.sell(bob, acme, 20, contest=where.slug)
    services.change_state(contest=where, state="FINISHED", actor=bob, reason="Over.", at=floor.now)
    floor.tick(acme, 50.0)  # what comes after is no part of it
    return where


class TestRebuild:
    def test_derives_the_same(self, ended: Contest) -> None:
        frozen, derived = rebuild.rebuild(contest=ended)
        assert frozen == derived
        assert [(p.rank, p.of) for p in derived] == [(1, 2), (2, 2)]
        assert derived[0].equity > Decimal("1000000.00") > derived[1].equity

    def test_needs_an_end(self, floor: Floor) -> None:
        with pytest.raises(rebuild.NotFrozen):
            rebuild.rebuild(contest=contest())


class TestCommand:
    def test_says_that_all_places_follow(self, ended: Contest) -> None:
        out = StringIO()
        call_command("rebuild_result", ended.slug, stdout=out)
        assert out.getvalue() == "All 2 places follow from the books.\n"

    def test_names_a_place_that_does_not(
        self, ended: Contest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        frozen, derived = rebuild.rebuild(contest=ended)
        tampered = [replace(frozen[0], equity=frozen[0].equity + 1), frozen[1]]
        monkeypatch.setattr(rebuild, "rebuild", lambda *, contest: (tampered, derived))
        with pytest.raises(CommandError, match="1 of 2"):
            call_command("rebuild_result", ended.slug, stdout=StringIO())

    def test_knows_no_other_contest(self, db: None) -> None:
        with pytest.raises(CommandError):
            call_command("rebuild_result", "nowhere", stdout=StringIO())


def test_a_contest_that_ended_fills_nothing_more(
    floor: Floor, alice: User, acme: Instrument, ended: Contest
) -> None:
    before = list(Result.objects.order_by("id").values())
    with pytest.raises(DomainError) as refusal:
        floor.buy(alice, acme, 1, contest=ended.slug)
    assert refusal.value.code == "contest_not_running"
    assert list(Result.objects.order_by("id").values()) == before
