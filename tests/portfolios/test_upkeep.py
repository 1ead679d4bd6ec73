"""Starts, ends, closes and metrics happen when they are due, once."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata import selectors as market
from marketdata import sessions
from marketdata.models import LastPrice
from mockmarket.core import redis
from mockmarket.core.models import User
from portfolios import booking, scoring, services, standings, upkeep
from portfolios.models import Contest, Portfolio, PortfolioMetrics, PortfolioSnapshot
from tests.portfolios.support import AT, contest, hold, instrument, user

pytestmark = pytest.mark.django_db

AFTER_CLOSE = AT + timedelta(hours=5)  # 16:30 in India
MIDNIGHT = AT + timedelta(hours=12, minutes=31)  # 00:01, when a market without end has closed


@pytest.fixture(autouse=True)
def _quiet_engine() -> None:
    redis.client().delete(redis.key("valuation"))


def _trades(monkeypatch: pytest.MonkeyPatch, *, always: bool) -> None:
    calendar = sessions.Calendar.of([], always_open=always)
    monkeypatch.setattr(market, "calendar", lambda: calendar)


def _close(portfolio: Portfolio, at: datetime, equity: str) -> None:
    PortfolioSnapshot.objects.create(
        portfolio=portfolio,
        kind=PortfolioSnapshot.Kind.CLOSE,
        taken_at=at,
        equity=Decimal(equity),
        cash=Decimal(equity),
    )


def _days(portfolio: Portfolio, *equity: str, until: datetime = AT) -> None:
    for place, amount in enumerate(equity):
        _close(portfolio, until - timedelta(days=len(equity) - place), amount)


def _member(where: Contest, name: str) -> Portfolio:
    return services.open_portfolio(user=user(name, alias=name), contest=where, at=AT)


class TestMoveStates:
    def test_starts_and_ends_by_the_clock(self) -> None:
        due = contest(state="OPEN", starts_at=AT)
        later = contest(state="OPEN", starts_at=AT + timedelta(hours=1))
        over = contest(starts_at=AT - timedelta(days=9), ends_at=AT)
        upkeep.move_states(at=AT)
        for where in (due, later, over):
            where.refresh_from_db()
        assert [due.state, later.state, over.state] == ["RUNNING", "OPEN", "FINISHED"]
        assert upkeep.move_states(at=AT) == []


class TestTakeClose:
    def test_keeps_everybodys_equity_once_a_session(self, monkeypatch: pytest.MonkeyPatch) -> None:
        _trades(monkeypatch, always=False)
        own = _member(contest(), "alice")
        share = instrument("ACME", last="110", close="100")
        hold(own, share, 100, "10000.00")
        assert upkeep.take_close(at=AFTER_CLOSE) == "2026-11-20"
        LastPrice.objects.filter(instrument=share).update(last_price=Decimal(500))
        assert upkeep.take_close(at=AFTER_CLOSE + timedelta(minutes=5)) is None
        kept = PortfolioSnapshot.objects.get(portfolio=own, kind="CLOSE")
        assert kept.equity == Decimal("1001000.00")

    def test_of_a_market_without_end_comes_at_midnight(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _trades(monkeypatch, always=True)
        _member(contest(), "alice")
        assert upkeep.take_close(at=AFTER_CLOSE) is None
        assert upkeep.take_close(at=MIDNIGHT) == "2026-11-20"

    def test_is_not_made_up_once_prices_have_moved_on(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _trades(monkeypatch, always=False)
        _member(contest(), "alice")
        monday = datetime(2026, 11, 23, 3, 44, tzinfo=UTC)  # a minute before it opens
        assert upkeep.take_close(at=monday + timedelta(minutes=2)) is None
        assert upkeep.take_close(at=monday) == "2026-11-20"

    def test_waits_for_the_close(self) -> None:
        _member(contest(), "alice")
        assert upkeep.take_close(at=AT) is None


class TestComputeMetrics:
    def test_rests_on_the_closes(self) -> None:
        where = contest()
        own = _member(where, "alice")
        _days(own, "1010000.00", "1000000.00", "1020000.00", "1030000.00", "1040000.00")
        scoring.compute_metrics(contest=where, at=AT)
        kept = PortfolioMetrics.objects.get(portfolio=own)
        assert kept.sessions == 5
        assert kept.consistency == pytest.approx(80.0)
        assert kept.drawdown_percent == pytest.approx(0.990099, abs=1e-6)
        assert kept.sharpe is not None
        # AT is a Friday: the last close before its Monday is the first of the five.
        assert kept.week_equity == Decimal("1010000.00")

    def test_calls_cash_paid_in_no_gain(self) -> None:
        where = contest()
        own = _member(where, "alice")
        _days(own, "1000000.00", until=AT - timedelta(days=1))
        booking.adjust_cash(
            portfolio=own, amount=Decimal("500000.00"), reason="late start",
            actor=user("staff"), at=AT - timedelta(days=1, hours=12),
        )  # fmt: skip
        _close(own, AT - timedelta(days=1), "1500000.00")
        scoring.compute_metrics(contest=where, at=AT)
        kept = PortfolioMetrics.objects.get(portfolio=own)
        assert kept.drawdown_percent == 0.0
        assert kept.consistency is None


class TestBoards:
    def _class(self) -> tuple[Contest, User]:
        where = contest()
        alice, bob = _member(where, "alice"), _member(where, "bob")
        _days(alice, "1010000.00", "1000000.00", "1020000.00", "1030000.00", "1040000.00")
        _days(bob, "1000000.00", "990000.00", "980000.00", "970000.00", "960000.00")
        scoring.compute_metrics(contest=where, at=AT)
        return where, bob.user

    @pytest.mark.parametrize("board", ["sharpe", "drawdown", "consistency"])
    def test_rank_by_their_own_score(self, board: str) -> None:
        where, bob = self._class()
        found = standings.leaderboard(contest=where, at=AT, user=bob, board=board)
        assert [row.alias for row in found.rows if row.rank] == (
            ["alice", "bob"] if board != "sharpe" or found.of == 2 else ["alice"]
        )
        assert found.me is not None

    def test_of_the_week_starts_from_the_close_before_it(self) -> None:
        where, _ = self._class()
        found = standings.leaderboard(contest=where, at=AT, board="week")
        scores = {row.alias: row.score for row in found.rows}
        assert scores["bob"] == pytest.approx(0.0)
        assert scores["alice"] == pytest.approx(-0.9901, abs=1e-4)

    def test_tell_how_much_could_be_luck(self) -> None:
        where, _ = self._class()
        [first, second] = standings.leaderboard(contest=where, at=AT).rows
        assert first.rank_low is not None
        assert second.rank_high is not None

    def test_leave_out_who_has_no_score(self) -> None:
        where = contest()
        _member(where, "alice")
        [row] = standings.leaderboard(contest=where, at=AT, board="win_rate").rows
        assert (row.rank, row.score) == (None, None)
