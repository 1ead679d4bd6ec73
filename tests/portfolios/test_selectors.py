"""Who may see what, and what it is worth."""

from decimal import Decimal

import pytest

from mockmarket.core.errors import NotFound
from portfolios import selectors, services
from tests.portfolios.support import AT, TODAY, contest, hold, instrument, user

pytestmark = pytest.mark.django_db


class TestAccessPortfolio:
    def test_finds_by_slug_by_id_and_by_default_the_practice(self) -> None:
        alice, where = user("alice"), contest()
        own = services.open_portfolio(user=alice, contest=where, at=AT)
        practice = services.ensure_practice(user=alice, at=AT)
        access = selectors.access_portfolio
        assert access(user=alice, contest=where.slug) == own
        assert access(user=alice, contest=where.id) == own
        assert access(user=alice, contest=str(where.id)) == own
        assert access(user=alice) == practice

    def test_answers_alike_for_anothers_and_for_none(self) -> None:
        alice, where = user("alice"), contest()
        services.open_portfolio(user=user("bob"), contest=where, at=AT)
        for named in (where.slug, where.id, "no-such-contest", 987654321):
            with pytest.raises(NotFound) as refusal:
                selectors.access_portfolio(user=alice, contest=named)
            assert refusal.value.message == "You have no portfolio in this contest."

    def test_does_not_open_what_was_left(self) -> None:
        alice, where = user("alice"), contest()
        services.open_portfolio(user=alice, contest=where, at=AT)
        services.leave_contest(user=alice, contest=where, at=AT)
        with pytest.raises(selectors.NoPortfolio):
            selectors.access_portfolio(user=alice, contest=where.slug)


class TestAccessContest:
    def test_hides_drafts_from_students(self) -> None:
        draft = contest(state="DRAFT")
        assert selectors.access_contest(user=user("staff", is_staff=True), contest=draft.slug)
        with pytest.raises(NotFound):
            selectors.access_contest(user=user("alice"), contest=draft.slug)


class TestContestsListed:
    def test_counts_members_and_says_whether_i_am_one(self) -> None:
        alice, where = user("alice"), contest()
        services.open_portfolio(user=alice, contest=where, at=AT)
        services.open_portfolio(user=user("bob"), contest=where, at=AT)
        listed = selectors.contests_listed(user=alice).get(id=where.id)
        assert (listed.members, listed.joined) == (2, 1)
        assert list(selectors.contests_of(user=alice)) == [where]


class TestPortfolioSummary:
    def test_values_positions_at_the_newest_price(self) -> None:
        alice, where = user("alice"), contest()
        own = services.open_portfolio(user=alice, contest=where, at=AT)
        hold(own, instrument("ACME", last="110", close="105"), 100, "10000.00")
        summary = selectors.portfolio_summary(portfolio=own, at=AT)
        assert summary.cash == Decimal("990000.00")
        assert summary.equity == Decimal("1001000.00")
        assert summary.unrealised_pnl == Decimal("1000.00")
        assert summary.day_pnl == Decimal("500.00")
        assert summary.return_percent == Decimal("0.1000")
        assert [p.symbol for p in summary.positions] == ["ACME"]

    def test_of_a_new_portfolio_is_its_cash(self) -> None:
        own = services.ensure_practice(user=user("alice"), at=AT)
        summary = selectors.portfolio_summary(portfolio=own, at=AT)
        assert summary.equity == summary.cash == summary.buying_power == own.contest.starting_cash
        assert summary.return_percent == 0


class TestPositions:
    def test_shows_what_is_open_and_what_this_session_closed(self) -> None:
        own = services.ensure_practice(user=user("alice"), at=AT)
        hold(own, instrument("OPEN", last="10"), 1, "9.00")
        hold(own, instrument("GONE", last="10"), 0, "0.00", session_date=TODAY, day_quantity=-1)
        hold(own, instrument("PAST", last="10"), 0, "0.00")
        shown = selectors.positions(portfolio=own, at=AT)
        assert [p.symbol for p in shown] == ["GONE", "OPEN"]
        assert [p.symbol for p in selectors.holdings(portfolio=own, at=AT)] == ["OPEN"]


class TestLedger:
    def test_is_the_portfolios_own_newest_first(self) -> None:
        where = contest()
        own = services.open_portfolio(user=user("alice"), contest=where, at=AT)
        services.open_portfolio(user=user("bob"), contest=where, at=AT)
        [entry] = selectors.ledger(portfolio=own)
        assert {p.account: p.amount for p in entry.postings.all()} == {
            "CASH": Decimal("1000000.00"),
            "CAPITAL": Decimal("-1000000.00"),
        }
