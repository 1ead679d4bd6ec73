"""Expiry, daily settlement and margin calls on an injected clock; every event once."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from django.core.management import call_command

from marketdata.models import ClosingPrice
from portfolios import services as portfolio_services
from portfolios.models import LedgerEntry, Portfolio
from portfolios.rows import exact_value, portfolio_row
from tests.support.derivatives import (
    EXPIRY,
    LOT,
    allow_derivatives,
    contract,
    held,
    nifty,
    quoted,
)
from tests.support.tampering import unguarded
from tests.trading.floor import again, portfolio, share
from trading import gtt, rebuild, reports
from trading.derivatives import proving, services, settling
from trading.models import Order, PositionChange

D = Decimal
FRIDAY = date(2026, 11, 27)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+05:30")


@pytest.fixture
def market(settings, floor, alice):
    """Friday 10:00 of NSE's own hours; NIFTY at 24,000; contracts expire on Tuesday."""
    settings.MARKET_HOURS = "nse"
    floor.now = ist("2026-11-27 10:00")
    allow_derivatives()
    floor.tick(nifty(), 24_000.0, bids=[], asks=[])
    return floor


pytestmark = pytest.mark.usefixtures("books_are_proved")


def closed_at(instrument, price, day):
    ClosingPrice.objects.create(
        instrument=instrument, session_date=day, close=D(str(price)), source="rest",
        traded_at=ist(f"{day} 15:30"), stored_at=ist(f"{day} 15:36"),
    )  # fmt: skip


def equity(user, at):
    row = portfolio_row(portfolio_id=portfolio(user).pk, at=at)
    return exact_value(row=row, at=at).equity


def settlements(user):
    return LedgerEntry.objects.filter(
        portfolio__user=user, kind=LedgerEntry.Kind.SETTLEMENT
    ).order_by("seq")


# --- Mark to market ---------------------------------------------------------------------
def test_a_future_is_settled_daily_through_the_ledger_once(market, alice):
    future = quoted(market, contract("FUT"), 24_050.0)
    market.buy(alice, future, LOT, product="NRML")
    market.now = ist("2026-11-27 15:39")
    quoted(market, future, 23_950.0)
    assert services.reconcile(at=ist("2026-11-27 15:40")).marked == 0  # a last match may come
    before = equity(alice, ist("2026-11-27 15:41"))
    cash = portfolio(alice).cash
    assert services.reconcile(at=ist("2026-11-27 15:41")).marked == 1
    change = PositionChange.objects.get(kind="MARK_TO_MARKET")
    assert change.price == D("23950")
    assert change.realised == D("-6503.25")  # 65 x (23,950 - 24,050.05)
    assert portfolio(alice).cash == cash - D("6503.25")
    assert held(alice, future).cost == D("1556750.00")
    assert equity(alice, ist("2026-11-27 15:41")) == before
    for later in ("2026-11-27 15:42", "2026-11-28 11:00", "2026-11-30 09:00"):
        assert services.reconcile(at=ist(later)).marked == 0
    assert settlements(alice).filter(reference__startswith="mtm:").count() == 1


def test_what_is_marked_already_is_found_at_once(market, alice, django_assert_num_queries):
    """Asked each twenty seconds, of every future of everybody."""
    for month in (1, 8, 15):
        expiry = date(2026, 12, month)
        future = contract("FUT", key=f"NSE_FO|FUT{month}", expiry_date=expiry)
        market.buy(alice, quoted(market, future, 1_000.0), LOT, product="NRML")
    market.now = ist("2026-11-27 15:39")
    at = ist("2026-11-27 15:41")
    assert len(settling.unmarked(at=at)) == 3
    assert services.reconcile(at=at).marked == 3
    with django_assert_num_queries(2):
        assert settling.unmarked(at=at) == []


def test_a_mark_that_was_missed_is_made_from_the_previous_close(market, alice):
    future = quoted(market, contract("FUT"), 24_050.0)
    market.buy(alice, future, LOT, product="NRML")
    market.now = ist("2026-11-30 09:20")
    market.tick(future, 24_200.0, previous_close=24_100.0)
    assert services.reconcile(at=market.now).marked == 1
    change = PositionChange.objects.get(kind="MARK_TO_MARKET")
    assert (change.price, change.inputs["session"]) == (D("24100"), "2026-11-27")


def test_a_future_without_a_trade_is_marked_to_its_underlying(market, alice):
    future = quoted(market, contract("FUT"), 24_050.0)
    market.buy(alice, future, LOT, product="NRML")
    market.now = ist("2026-11-30 15:39")
    services.reconcile(at=ist("2026-11-27 15:41"))
    closed_at(nifty(), 24_100, date(2026, 11, 30))
    assert services.reconcile(at=ist("2026-11-30 15:41")).marked == 1
    change = PositionChange.objects.filter(kind="MARK_TO_MARKET").latest("pk")
    assert change.inputs["source"] == "theoretical"
    assert change.price == pytest.approx(D("24104.29"), abs=D("0.01"))  # a day at 6.5 %


def test_a_loss_beyond_the_cash_becomes_debt_and_never_negative_cash(market, alice):
    future = quoted(market, contract("FUT"), 24_000.0)
    market.buy(alice, future, LOT * 5, product="NRML")
    market.now = ist("2026-11-27 15:39")
    quoted(market, future, 21_000.0)
    services.reconcile(at=ist("2026-11-27 15:41"))
    after = portfolio(alice)
    assert (after.cash, after.debt > 0) == (0, True)


# --- Expiry -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "strike", "side", "close", "value", "tax"),
    [
        ("CE", "23900", "BUY", "24120.55", "220.55", "21.50"),  # 0.15 % of 65 x 220.55
        ("CE", "23900", "SELL", "24120.55", "220.55", "0.00"),
        ("CE", "24200", "BUY", "24120.55", "0", "0.00"),
        ("PE", "24200", "BUY", "24120.55", "79.45", "7.75"),
        ("PE", "24000", "SELL", "24120.55", "0", "0.00"),
        ("FUT", None, "BUY", "24120.55", "24120.55", "0.00"),
        ("FUT", None, "SELL", "24120.55", "24120.55", "0.00"),
    ],
)
def test_a_contract_settles_in_cash_when_it_expires(
    market, alice, kind, strike, side, close, value, tax
):
    price = 24_010.0 if kind == "FUT" else 150.0
    market.now = ist("2026-12-01 10:00")
    market.tick(nifty(), 24_000.0, bids=[], asks=[])
    instrument = quoted(market, contract(kind, strike), price)
    order = market.place(alice, instrument, side, LOT, product="NRML")
    paid = order.charges
    assert services.reconcile(at=ist("2026-12-01 15:45")).expired == 0  # no close yet
    closed_at(nifty(), close, EXPIRY)
    assert services.reconcile(at=ist("2026-12-01 15:46")).expired == 1
    position, after = held(alice, instrument), portfolio(alice)
    sign = 1 if side == "BUY" else -1
    gained = sign * LOT * (D(value) - again(order).average_price)
    assert (position.quantity, position.cost, position.margin) == (0, 0, 0)
    assert position.realised_pnl == gained
    assert position.charges == paid + D(tax)
    assert after.cash == D("1000000.00") + gained - paid - D(tax)
    assert after.margin == 0
    assert services.reconcile(at=ist("2026-12-01 15:47")).expired == 0
    assert services.reconcile(at=ist("2026-12-02 10:00")).expired == 0
    # Its day profit is what it gained, though nothing was traded at the end.
    evening = ist("2026-12-01 15:50")
    found = exact_value(row=portfolio_row(portfolio_id=after.pk, at=evening), at=evening)
    assert found.equity == after.cash


def test_a_share_option_settles_at_the_share_s_close(market, alice):
    acme = share("ACME", cas_eligible=True)
    market.tick(acme, 1_000.0, previous_close=1_000.0)
    put = quoted(market, contract("PE", "1020", underlying=acme, lot_size=500), 30.0)
    market.buy(alice, put, 500, product="NRML")
    closed_at(acme, "990.50", EXPIRY)
    assert services.reconcile(at=ist("2026-12-01 15:46")).expired == 1
    position = held(alice, put)
    assert position.realised_pnl == D("-275.00")  # 500 x (29.50 - 30.05)
    tax = D("22.13")  # 0.15 % of 14,750
    assert PositionChange.objects.get(kind="EXPIRY").charges == tax


def test_orders_and_instructions_on_an_expired_contract_end(market, alice, bob):
    allow_derivatives()
    call = quoted(market, contract("CE", "24000"), 150.0)
    market.buy(alice, call, LOT, product="NRML")
    market.now = ist("2026-12-01 16:30")
    market.desk.phases = dict.fromkeys(market.desk.phases, "CLOSED")
    waiting = market.buy(
        bob, call, LOT, product="NRML", order_type="LIMIT", price=100, after_market=True
    )
    watch = gtt.place_gtt(
        user=alice, contest=None, at=market.now,
        draft=gtt.GttDraft(
            instrument_key=call.key, side="SELL", quantity=LOT, product="NRML",
            lower=gtt.Leg(trigger=D(100)),
        ),
    )  # fmt: skip
    closed_at(nifty(), 24_100, EXPIRY)
    report = services.reconcile(at=ist("2026-12-01 16:31"))
    assert (report.expired, report.ended) == (1, 2)
    assert again(waiting).status == "EXPIRED"
    watch.refresh_from_db()
    assert (watch.status, watch.status_reason) == ("CANCELLED", "contract_expired")
    assert portfolio(bob).reserved == 0


def test_a_frozen_contest_settles_and_a_finished_one_does_not(market, alice):
    call = quoted(market, contract("CE", "24000"), 150.0)
    market.buy(alice, call, LOT, product="NRML")
    closed_at(nifty(), 24_100, EXPIRY)
    mine = Portfolio.objects.get(user=alice)
    mine.contest.state = "FINISHED"
    mine.contest.save()
    assert services.reconcile(at=ist("2026-12-01 16:31")).expired == 0
    mine.contest.state = "FROZEN"
    mine.contest.save()
    assert services.reconcile(at=ist("2026-12-01 16:32")).expired == 1


def test_an_expired_contract_is_a_closed_trade_and_the_result_is_derived_without_it(
    market, alice, bob
):
    call = quoted(market, contract("CE", "24000"), 150.0)
    future = quoted(market, contract("FUT", expiry_date=date(2026, 12, 29)), 24_050.0)
    market.buy(alice, call, LOT, product="NRML")
    market.buy(alice, future, LOT, product="NRML")
    closed_at(nifty(), 24_100, EXPIRY)
    market.now = ist("2026-12-01 15:39")
    quoted(market, future, 24_180.0)
    at = ist("2026-12-01 16:31")
    report = services.reconcile(at=at)
    assert (report.expired, report.marked) == (1, 1)
    trips = {trip.symbol: trip for trip in reports.trips(portfolio=portfolio(alice), at=at)}
    closed, still_open = trips[call.symbol], trips[future.symbol]
    assert (closed.exit_price, closed.closed_at, closed.pnl) == (D(100), at, D("-3253.25"))
    assert still_open.closed_at is None
    assert still_open.entry_price == D("24050.05")  # a mark is no trade
    contest = portfolio(alice).contest
    portfolio_services.change_state(
        contest=contest, state="FINISHED", actor=bob, reason="Over.", at=at
    )
    frozen, derived = rebuild.rebuild(contest=contest)
    assert frozen == derived
    assert len(frozen) == 2


# --- Margin -----------------------------------------------------------------------------
def test_margin_follows_the_market_both_ways(market, alice):
    call = quoted(market, contract("CE", "24000"), 150.0)
    market.sell(alice, call, LOT, product="NRML")
    first = held(alice, call).margin
    assert services.reconcile(at=market.now).margins == 0  # within the tolerance
    market.tick(nifty(), 24_600.0, bids=[], asks=[])
    quoted(market, call, 640.0)
    assert services.reconcile(at=market.now).margins == 1
    dearer = held(alice, call).margin
    assert dearer > first + 20_000
    assert services.reconcile(at=market.now).margins == 0
    market.tick(nifty(), 23_500.0, bids=[], asks=[])
    quoted(market, call, 10.0)
    market.wait(1)
    assert services.reconcile(at=market.now).margins == 1
    assert held(alice, call).margin < first
    assert settlements(alice).filter(reference__startswith="margin:").count() == 2


def test_margin_is_given_back_when_a_hedge_is_bought_later(market, alice):
    call = quoted(market, contract("CE", "24000"), 150.0)
    higher = quoted(market, contract("CE", "24200"), 70.0)
    market.sell(alice, call, LOT, product="NRML")
    naked = held(alice, call).margin
    market.buy(alice, higher, LOT, product="NRML")
    assert services.reconcile(at=market.now).margins == 1
    assert held(alice, call).margin < naked / 3


def test_a_margin_call_cancels_what_waits_and_then_closes(market, alice):
    call = quoted(market, contract("CE", "24000"), 150.0)
    market.sell(alice, call, LOT * 4, product="NRML")
    waiting = market.sell(alice, call, LOT, product="NRML", order_type="LIMIT", price=400)
    market.tick(nifty(), 27_000.0, bids=[], asks=[])
    # The price leaps beyond the waiting order without trading there.
    market.tick(call, 3_050.0, bids=[], asks=[(3_050.05, 10)], settle=False)
    report = services.reconcile(at=market.now)
    assert (again(waiting).status, portfolio(alice).reserved) == ("CANCELLED", 0)
    assert report.called == 1
    exits = Order.objects.get(client_order_id__startswith="squareoff-margin-")
    assert (exits.side, exits.quantity) == ("BUY", LOT * 4)
    assert services.reconcile(at=market.now).called == 0  # one order at a time
    market.wait(1)
    quoted(market, call, 3_050.0)
    market.run()
    assert again(exits).status == "FILLED"
    assert held(alice, call).quantity == 0
    assert portfolio(alice).cash >= 0


def test_margin_that_falls_cancels_nothing_however_little_is_free(market, alice):
    """What is unsettled or owed makes nothing scarcer that is given back."""
    call = quoted(market, contract("CE", "24000"), 150.0)
    market.sell(alice, call, LOT, product="NRML")
    waiting = market.sell(alice, call, LOT, product="NRML", order_type="LIMIT", price=400)
    Portfolio.objects.filter(user=alice).update(unsettled=D("5000000.00"))
    market.tick(nifty(), 23_400.0, bids=[], asks=[])
    quoted(market, call, 10.0)
    market.wait(1)
    before = held(alice, call).margin
    assert services.reconcile(at=market.now).margins == 1
    assert held(alice, call).margin < before
    assert again(waiting).status == "OPEN"
    Portfolio.objects.filter(user=alice).update(unsettled=0)


# --- Proofs -----------------------------------------------------------------------------
@pytest.mark.parametrize(("column", "value"), [("realised", D("1.00")), ("price", D("23951"))])
def test_a_change_that_was_tampered_with_is_found(market, alice, column, value):
    """The control of the proof that ends every test here."""
    future = quoted(market, contract("FUT"), 24_050.0)
    market.buy(alice, future, LOT, product="NRML")
    market.now = ist("2026-11-27 15:39")
    quoted(market, future, 23_950.0)
    services.reconcile(at=ist("2026-11-27 15:41"))
    mark = PositionChange.objects.get(kind="MARK_TO_MARKET")
    kept = getattr(mark, column)
    with unguarded("trading_positionchange"):
        PositionChange.objects.filter(pk=mark.pk).update(**{column: value})
        found = [f.code for f in proving.verify_changes() if f is not None]
        assert "change_differs" in found
        PositionChange.objects.filter(pk=mark.pk).update(**{column: kept})


def test_the_command_proves_settlements_too(market, alice, capsys):
    future = quoted(market, contract("FUT"), 24_050.0)
    market.buy(alice, future, LOT, product="NRML")
    market.now = ist("2026-11-27 15:39")
    quoted(market, future, 23_950.0)
    services.reconcile(at=ist("2026-11-27 15:41"))
    call_command("verify_fills")
    assert "1 fills and 1 settlements derived again" in capsys.readouterr().out
