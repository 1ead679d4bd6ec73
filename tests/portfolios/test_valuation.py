"""Worth in plain arithmetic: worked examples."""

from datetime import date
from decimal import Decimal

from portfolios.valuation import Price, return_percent, value_exact, value_position
from tests.portfolios.support import TODAY, portfolio_row, position_row


def _price(last: str | None, close: str | None = None) -> Price:
    return Price(
        last=None if last is None else Decimal(last),
        previous_close=None if close is None else Decimal(close),
    )


class TestPosition:
    def test_bought_yesterday_gains_from_the_previous_close_today(self) -> None:
        held = position_row("ACME", 10, "1000.00")
        valued = value_position(position=held, price=_price("120", "110"), session_date=TODAY)
        assert (valued.value, valued.unrealised_pnl, valued.day_pnl) == (
            Decimal("1200.00"),
            Decimal("200.00"),
            Decimal("100.00"),
        )

    def test_bought_today_gains_from_its_own_price(self) -> None:
        held = position_row(
            "ACME", 10, "1150.00", session_date=TODAY, day_quantity=10, day_cost=Decimal("1150.00")
        )
        valued = value_position(position=held, price=_price("120", "110"), session_date=TODAY)
        assert valued.day_pnl == Decimal("50.00")

    def test_sold_out_today_keeps_the_day_it_made(self) -> None:
        # Ten held since yesterday's 110, all sold today at 115.
        gone = position_row(
            "ACME", 0, "0.00", session_date=TODAY, day_quantity=-10, day_cost=Decimal("-1150.00")
        )
        valued = value_position(position=gone, price=_price("120", "110"), session_date=TODAY)
        assert valued.day_pnl == Decimal("50.00")

    def test_a_short_gains_when_the_price_falls(self) -> None:
        short = position_row("ACME", -10, "-1000.00")
        valued = value_position(position=short, price=_price("90", "95"), session_date=TODAY)
        assert (valued.average_price, valued.unrealised_pnl, valued.day_pnl) == (
            Decimal("100.0000"),
            Decimal("100.00"),
            Decimal("50.00"),
        )

    def test_yesterdays_fills_are_no_part_of_today(self) -> None:
        held = position_row(
            "ACME",
            10,
            "1000.00",
            session_date=date(2026, 11, 19),
            day_quantity=10,
            day_cost=Decimal("1000.00"),
        )
        valued = value_position(position=held, price=_price("120", "110"), session_date=TODAY)
        assert valued.day_pnl == Decimal("100.00")

    def test_without_any_price_it_stands_at_cost_and_has_no_day(self) -> None:
        held = position_row("ACME", 10, "1000.00")
        valued = value_position(position=held, price=None, session_date=TODAY)
        assert (valued.value, valued.last_price, valued.day_pnl) == (
            Decimal("1000.00"),
            Decimal("100.0000"),
            Decimal("0.00"),
        )


class TestPortfolio:
    def test_equity_is_cash_and_margin_and_what_positions_fetch(self) -> None:
        row = portfolio_row(
            1,
            position_row("ACME", 10, "1000.00"),
            position_row("BETA", -5, "-500.00"),
            cash=Decimal("500.00"),
            margin=Decimal("1000.00"),  # what the short brought, and as much put down for it
            paid_in=Decimal("2000.00"),
        )
        value = value_exact(
            portfolio=row,
            prices={"ACME": _price("110", "100"), "BETA": _price("90", "100")},
            session_date=TODAY,
        )
        assert value.equity == Decimal("500.00") + 1000 + 1100 - 450
        assert value.unrealised_pnl == Decimal("150.00")
        assert value.return_percent == Decimal("7.5000")
        assert value.invested == Decimal("1500.00")

    def test_what_is_invested_in_a_future_is_its_margin(self) -> None:
        # 65 at 24,000.00 for 200,000.00 of margin; a debt of 300.00 besides.
        row = portfolio_row(
            1,
            position_row("FUT", 65, "1560000.00"),
            cash=Decimal("0.00"),
            margin=Decimal("200000.00") - Decimal("1560000.00") - Decimal("300.00"),
            debt=Decimal("300.00"),
        )
        value = value_exact(
            portfolio=row, prices={"FUT": _price("24100", "24000")}, session_date=TODAY
        )
        assert value.invested == Decimal("200000.00")
        assert value.equity == value.cash + value.invested + value.unrealised_pnl - row.debt

    def test_the_days_charges_and_dividends_are_of_the_portfolios_day_alone(self) -> None:
        held = position_row(
            "ACME", 10, "1000.00", session_date=TODAY, day_quantity=10, day_cost=Decimal("1000.00")
        )
        value = value_exact(
            portfolio=portfolio_row(1, held, day_booked=Decimal("-7.50")),
            prices={"ACME": _price("101")},
            session_date=TODAY,
        )
        assert value.positions[0].day_pnl == Decimal("10.00")
        assert value.day_pnl == Decimal("2.50")

    def test_nothing_paid_in_returns_nothing(self) -> None:
        assert return_percent(equity=Decimal(5), paid_in=Decimal(0)) == 0
