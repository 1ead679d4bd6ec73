"""Worked stories of trips, markets and habits."""

from datetime import timedelta
from decimal import Decimal

import pytest

from portfolios.performance import Flow, Series, Trip, review, same_money
from tests.portfolios.support import AT

HOUR = timedelta(hours=1)


def _trip(
    quantity: int, entry: str, exit_: str, *, hours: int | None = 1, sector: str = "Energy"
) -> Trip:
    """A trip that began ten hours ago; `hours` None is still open."""
    opened_at = AT - 10 * HOUR
    return Trip(
        symbol="ACME",
        instrument_key="NSE_EQ|ACME",
        sector=sector,
        product="CNC",
        quantity=quantity,
        opened_at=opened_at,
        entry_price=Decimal(entry),
        exit_price=Decimal(exit_),
        closed_at=None if hours is None else opened_at + hours * HOUR,
    )


def _review(*trips: Trip, benchmark: Series | None = None):  # type: ignore[no-untyped-def]
    return review(
        trips=trips,
        fills=2 * len(trips),
        turnover=Decimal("10000.00"),
        charges=Decimal("10.00"),
        benchmark=benchmark or Series([]),
        at=AT,
    )


class TestReview:
    def test_sorts_what_was_won_and_lost(self) -> None:
        won, lost, short = _trip(10, "100", "110"), _trip(10, "100", "95"), _trip(-10, "100", "90")
        found = _review(won, lost, short, _trip(1, "100", "107", hours=None))
        assert found.realised_fifo == Decimal("150.00")
        assert found.unrealised_fifo == Decimal("7.00")
        assert found.win_rate == pytest.approx(200 / 3)
        assert {t.pnl for t in found.best} == {Decimal("100.00")}
        assert found.worst == (lost,)
        assert found.charges_percent == pytest.approx(0.1)

    def test_weighs_holding_times_by_money(self) -> None:
        found = _review(_trip(30, "100", "110", hours=2), _trip(10, "100", "90", hours=6))
        assert (found.holding_hours, found.winners_hours, found.losers_hours) == (3.0, 2.0, 6.0)

    def test_adds_up_sectors(self) -> None:
        found = _review(_trip(1, "100", "90"), _trip(1, "100", "130", sector=""))
        assert [(p.sector, p.pnl) for p in found.sectors] == [
            ("Other", Decimal("30.00")),
            ("Energy", Decimal("-10.00")),
        ]

    def test_of_nothing_says_nothing(self) -> None:
        found = _review()
        assert found.win_rate is found.holding_hours is found.attribution is found.habit is None


class TestAttribution:
    def test_splits_profit_into_market_and_selection(self) -> None:
        nifty = Series([(AT - 10 * HOUR, 20_000.0), (AT - 9 * HOUR, 21_000.0)])
        found = _review(_trip(10, "100", "108"), benchmark=nifty).attribution
        assert found is not None
        assert (found.market, found.selection) == (Decimal("50.00"), Decimal("30.00"))

    def test_of_a_short_counts_the_market_against_it(self) -> None:
        nifty = Series([(AT - 10 * HOUR, 20_000.0), (AT - 9 * HOUR, 21_000.0)])
        found = _review(_trip(-10, "100", "105"), benchmark=nifty).attribution
        assert found is not None
        assert (found.market, found.selection) == (Decimal("-50.00"), Decimal("0.00"))


class TestHabit:
    def test_sees_winners_sold_and_losers_kept(self) -> None:
        sold = [_trip(1, "100", "110") for _ in range(5)]
        kept = [_trip(1, "100", "90", hours=None) for _ in range(5)]
        habit = _review(*sold, *kept).habit
        assert habit is not None
        assert habit.effect == 100.0
        habit = _review(*sold, _trip(1, "100", "90"), *kept).habit
        assert habit is not None
        assert habit.gains_realised_percent == 100.0
        assert habit.effect == pytest.approx(100 - 100 / 6)

    def test_is_silent_on_a_few_trips(self) -> None:
        assert _review(_trip(1, "100", "110"), _trip(1, "100", "90", hours=None)).habit is None


class TestSameMoney:
    def test_puts_each_flow_in_when_it_came(self) -> None:
        nifty = Series([(AT, 100.0), (AT + HOUR, 200.0), (AT + 2 * HOUR, 400.0)])
        flows = [Flow(AT, Decimal(1000)), Flow(AT + HOUR, Decimal(500))]
        assert same_money(flows=flows, benchmark=nifty, at=AT + 2 * HOUR) == Decimal("5000.00")

    def test_is_unknown_without_the_index(self) -> None:
        flows = [Flow(AT, Decimal(1000))]
        assert same_money(flows=flows, benchmark=Series([]), at=AT) is None
