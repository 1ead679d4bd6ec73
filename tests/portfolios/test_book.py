"""The columns agree with plain arithmetic, whatever happens to them."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portfolios.book import Book
from portfolios.valuation import PortfolioRow, PositionRow, Price, value_exact
from tests.portfolios.support import TODAY, portfolio_row, position_row

KEYS = ["ACME", "BETA", "CORP", "DELT"]
HALF_PAISA = Decimal("0.005")

paise = st.integers(-(10**11), 10**11).map(lambda n: Decimal(n).scaleb(-2))
prices = st.one_of(st.none(), st.integers(100, 10**9).map(lambda n: Decimal(n).scaleb(-4)))


@st.composite
def positions(draw: st.DrawFn, key: str) -> PositionRow:
    quantity = draw(st.integers(-10_000, 10_000))
    today = draw(st.booleans())
    return position_row(
        key,
        quantity,
        str(draw(paise) if quantity else "0.00"),
        session_date=TODAY if today else None,
        day_quantity=draw(st.integers(-10_000, 10_000)) if today else 0,
        day_cost=draw(paise) if today else Decimal("0.00"),
    )


@st.composite
def portfolios(draw: st.DrawFn, number: int) -> PortfolioRow:
    keys = draw(st.lists(st.sampled_from(KEYS), unique=True))
    return portfolio_row(
        number,
        *(draw(positions(key)) for key in keys),
        contest_id=draw(st.integers(1, 3)),
        cash=abs(draw(paise)),
        margin=draw(paise),
        debt=abs(draw(paise)),
        day_booked=draw(paise),
        paid_in=draw(st.sampled_from([Decimal("1000000.00"), Decimal("0.00")])),
    )


def _column(values: dict[str, Decimal | None]) -> np.ndarray:
    return np.array([np.nan if values[k] is None else float(values[k] or 0) for k in KEYS])


class TestValue:
    @given(data=st.data())
    @settings(max_examples=60, deadline=None)
    def test_equals_the_exact_arithmetic_within_half_a_paisa_per_position(
        self, data: st.DataObject
    ) -> None:
        book = Book(row_of=KEYS.index)
        rows: dict[int, PortfolioRow] = {}
        for _ in range(data.draw(st.integers(1, 12))):  # put, put again, drop
            number = data.draw(st.integers(1, 6))
            if data.draw(st.integers(0, 4)) == 0:
                book.drop(number)
                rows.pop(number, None)
            else:
                rows[number] = data.draw(portfolios(number))
                book.put(rows[number], session_date=TODAY)
            if data.draw(st.booleans()):  # what a pass keeps for the next must not outlive a change
                kept = _column({key: data.draw(prices) for key in KEYS})
                book.value(last=kept, previous_close=kept, at_ms=1)
        last = {key: data.draw(prices) for key in KEYS}
        close = {key: data.draw(prices) for key in KEYS}
        snapshot = book.value(last=_column(last), previous_close=_column(close), at_ms=1)
        assert sorted(snapshot.ids) == sorted(rows)
        assert book.interest() == {
            p.instrument_key for row in rows.values() for p in row.positions if p.quantity
        }
        for place, number in enumerate(snapshot.ids):
            exact = value_exact(
                portfolio=rows[int(number)],
                prices={key: Price(last[key], close[key]) for key in KEYS},
                session_date=TODAY,
            )
            allowed = float(HALF_PAISA * (len(exact.positions) + 1)) + 1e-6
            assert snapshot.equity[place] == pytest.approx(float(exact.equity), abs=allowed)
            assert snapshot.day_pnl[place] == pytest.approx(float(exact.day_pnl), abs=2 * allowed)
            assert snapshot.unrealised[place] == pytest.approx(
                float(exact.unrealised_pnl), abs=allowed
            )
            assert snapshot.invested[place] == pytest.approx(float(exact.invested), abs=0.005)
            assert snapshot.return_percent[place] == pytest.approx(
                float(exact.return_percent), abs=1e-3
            )
            shown = book.positions(int(number))
            held = [p for p in exact.positions if p.quantity]
            assert [p["quantity"] for p in shown] == [p.quantity for p in held]
            for one, wanted in zip(shown, held, strict=True):
                for name in ("value", "unrealised_pnl", "day_pnl"):
                    assert one[name] == pytest.approx(float(getattr(wanted, name)), abs=0.02)

    def test_the_fallback_price_stands_in_until_the_board_knows_one(self) -> None:
        book = Book(row_of=KEYS.index)
        book.put(portfolio_row(1, position_row("ACME", 10, "500.00")), session_date=TODAY)
        book.set_fallback(instrument_key="ACME", last=60.0, previous_close=55.0)
        nothing = np.full(4, np.nan)
        assert book.value(last=nothing, previous_close=nothing, at_ms=1).equity[0] == 1600.0
        known = np.array([70.0, np.nan, np.nan, np.nan])
        snapshot = book.value(last=known, previous_close=nothing, at_ms=2)
        assert (snapshot.equity[0], snapshot.day_pnl[0]) == (1700.0, 150.0)

    def test_snapshot_ids_only_grow(self) -> None:
        book = Book(row_of=KEYS.index)
        book.put(portfolio_row(1), session_date=TODAY)
        empty = np.full(4, np.nan)
        first = book.value(last=empty, previous_close=empty, at_ms=10)
        second = book.value(last=empty, previous_close=empty, at_ms=9)
        assert second.snapshot_id > first.snapshot_id

    def test_the_age_of_the_oldest_price_used_is_told(self) -> None:
        book = Book(row_of=KEYS.index)
        book.put(
            portfolio_row(1, position_row("ACME", 1, "1.00"), position_row("BETA", 1, "1.00")),
            session_date=TODAY,
        )
        snapshot = book.value(
            last=np.ones(4),
            previous_close=np.ones(4),
            received_ms=np.array([900.0, 400.0, 1.0, 1.0]),
            at_ms=1000,
        )
        assert snapshot.price_age_ms == 600

    def test_an_empty_book_has_an_empty_snapshot(self) -> None:
        snapshot = Book(row_of=KEYS.index).value(
            last=np.zeros(0), previous_close=np.zeros(0), at_ms=1
        )
        assert len(snapshot.ids) == 0


class TestInterest:
    def test_names_what_is_held_and_not_what_was(self) -> None:
        book = Book(row_of=KEYS.index)
        gone = position_row("BETA", 0, "0.00", session_date=TODAY, day_quantity=-1)
        book.put(portfolio_row(1, position_row("ACME", 1, "1.00"), gone), session_date=TODAY)
        assert book.interest() == {"ACME"}
