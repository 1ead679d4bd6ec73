"""Splits, bonus issues, dividends: quantities, averages, orders, alerts, cash; once, reversible."""

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse as reverse_url
from hypothesis import given
from hypothesis import strategies as st

from marketdata.models import Instrument, LastPrice
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import AuditEntry, User
from portfolios import rows
from portfolios.models import LedgerEntry, Position
from portfolios.positions import Book, change
from tests.support.tampering import unguarded
from tests.trading.corporate import MORNING, announce, apply, held, reverse
from tests.trading.floor import CONTINUOUS, Floor, again, portfolio
from trading import alerting, gtt, housekeeping, rebuild, reports, verification
from trading.corporate_actions import importing, services
from trading.corporate_actions.arithmetic import adjust_position, adjust_price, factor_of
from trading.corporate_actions.booking import apply_step
from trading.models import Alert, CorporateAction, CorporateActionStep, Fill, Gtt

D = Decimal
pytestmark = pytest.mark.usefixtures("real_exchange")


# --- Arithmetic ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kind", "numerator", "denominator", "factor"),
    [
        ("SPLIT", 5, 1, Fraction(5)),
        ("SPLIT", 1, 10, Fraction(1, 10)),
        ("BONUS", 1, 2, Fraction(3, 2)),
    ],
)
def test_factors(kind: str, numerator: int, denominator: int, factor: Fraction) -> None:
    assert factor_of(kind=kind, numerator=numerator, denominator=denominator) == factor


@given(
    quantity=st.integers(-500, 500),
    sold=st.integers(0, 500),
    numerator=st.integers(1, 20),
    denominator=st.integers(1, 20),
    unit=st.decimals("0.05", "999", places=2),
)
def test_an_adjustment_balances(
    quantity: int, sold: int, numerator: int, denominator: int, unit: Decimal
) -> None:
    """Cost and cash account for every paisa, and no position changes its side."""
    cost = D(quantity) * 100
    book = Book(quantity=quantity, cost=cost, margin=abs(cost))
    entitled = quantity + (sold if quantity > 0 else -sold)
    done = adjust_position(
        book, entitled=entitled, factor=Fraction(numerator, denominator), unit_price=unit
    )
    after = change(book, done.change)
    assert after.quantity * quantity >= 0
    assert abs(done.fraction) < 1
    assert done.change.realised == done.cash + done.change.margin
    if not after.quantity:
        assert after.cost == after.margin == 0
    if not done.fraction:
        assert (after.cost, done.cash) == (book.cost, 0)


def test_prices_move_to_their_owners_side() -> None:
    tick, factor = D("0.05"), Fraction(3)
    assert adjust_price(D(100), factor, tick_size=tick, up=False) == D("33.30")
    assert adjust_price(D(100), factor, tick_size=tick, up=True) == D("33.35")
    assert adjust_price(D("0.05"), factor, tick_size=tick, up=False) == tick
    assert adjust_price(None, factor, tick_size=tick, up=True) is None


# --- Positions and cash -------------------------------------------------------------------
def test_a_split_multiplies_units_and_leaves_cost(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    before, cash = held(alice), portfolio(alice).cash
    assert apply(announce(acme, "SPLIT", numerator=5, denominator=1)) == 1
    after = held(alice)
    assert (after.quantity, after.cost) == (50, before.cost)
    assert portfolio(alice).cash == cash
    assert verification.check_ledger() == []
    floor.now = MORNING.replace(hour=10)
    floor.tick(acme, 20.0, previous_close=20.0)
    sale = floor.sell(alice, acme, 50)
    assert (sale.status, sale.filled_quantity) == ("FILLED", 50)
    assert (held(alice).quantity, held(alice).cost) == (0, 0)
    assert verification.check_ledger() == []


def test_a_bonus_pays_the_fraction_in_cash(floor: Floor, alice: User, acme: Instrument) -> None:
    floor.buy(alice, acme, 7)
    cost, cash = held(alice).cost, portfolio(alice).cash
    apply(announce(acme, "BONUS", numerator=1, denominator=2))
    after = held(alice)
    assert after.quantity == 10  # ten and a half
    # Half a unit of 10.5 at 100 / 1.5.
    assert portfolio(alice).cash - cash == D("33.33")
    assert after.cost == cost - (cost * D("0.5") / D("10.5")).quantize(D("0.01"))
    entry = LedgerEntry.objects.get(portfolio=portfolio(alice), kind="CORPORATE_ACTION")
    assert "fraction" in entry.description
    assert verification.check_ledger() == []


def test_a_dividend_is_credited_once(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.sell(bob, acme, 4, product="MIS")
    cash, short = portfolio(alice).cash, portfolio(bob).cash
    action = announce(acme, "DIVIDEND", amount=D("12.50"))
    assert housekeeping.reconcile(at=MORNING - timedelta(hours=1)).corporate_actions == 0
    assert services.apply_due(at=MORNING) == 1
    assert services.apply_due(at=MORNING) == 0
    assert portfolio(alice).cash - cash == D("125.00")
    assert portfolio(bob).cash - short == D("-50.00")  # who is short owes it
    assert LedgerEntry.objects.get(portfolio=portfolio(alice), kind="DIVIDEND").description == (
        "ACME: dividend of ₹12.5 a share on 10"
    )
    with pytest.raises(services.ActionNotPossible):
        apply(action)
    assert verification.check_ledger() == []


def test_who_bought_on_the_ex_date_gets_nothing(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    action = announce(acme, "SPLIT", numerator=2, denominator=1)
    floor.now = MORNING.replace(hour=10)  # nobody applied it before the bell
    floor.tick(acme, 50.0, previous_close=50.0)
    floor.buy(bob, acme, 10)
    floor.buy(alice, acme, 5)
    apply(action, at=floor.now)
    assert held(alice).quantity == 10 * 2 + 5
    assert held(bob).quantity == 10
    assert verification.check_ledger() == []


# --- What waits ---------------------------------------------------------------------------
def test_waiting_orders_triggers_and_alerts_follow(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    resting = floor.buy(alice, acme, 9, order_type="LIMIT", price=95.05)
    stop = floor.sell(alice, acme, 10, order_type="SL", price=89.95, trigger_price=90)
    leg = gtt.Leg(trigger=D("110.00"), price=D("109.95"))
    draft = gtt.GttDraft(instrument_key=acme.key, side="SELL", quantity=10, upper=leg)
    watched = gtt.place_gtt(user=alice, contest=None, draft=draft, at=floor.now)
    alert = alerting.create(
        user=alice, instrument=acme, kind="PRICE_ABOVE", threshold=D(120), note="", at=floor.now
    )
    reserved = portfolio(alice).reserved
    action = announce(acme, "SPLIT", numerator=3, denominator=1)
    apply(action)
    now = again(resting)
    assert (now.quantity, now.price, now.status) == (27, D("31.65"), "OPEN")
    assert now.price * now.quantity <= D("95.05") * 9
    assert (again(stop).quantity, again(stop).trigger_price) == (30, D("30.00"))
    assert again(stop).price == D("30.00")  # 29.983 on the seller's side
    kept = Gtt.objects.get(pk=watched.pk)
    assert (kept.quantity, kept.upper_trigger) == (30, D("36.70"))
    assert Alert.objects.get(pk=alert.pk).threshold == D("40")
    assert portfolio(alice).reserved == reserved
    assert verification.check_ledger() == []

    reverse(action, alice)
    assert (again(resting).quantity, again(resting).price) == (9, D("95.05"))
    assert (again(stop).quantity, again(stop).trigger_price) == (10, D(90))
    assert Gtt.objects.get(pk=watched.pk).upper_trigger == D(110)
    assert Alert.objects.get(pk=alert.pk).threshold == D(120)
    assert verification.check_ledger() == []


def test_an_order_that_cannot_be_adjusted_is_cancelled(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    partly = floor.buy(alice, acme, 150, order_type="LIMIT", price=101)
    few = floor.buy(bob, acme, 4, order_type="LIMIT", price=90)
    assert partly.status == "PARTIALLY_FILLED"
    apply(announce(acme, "SPLIT", numerator=1, denominator=10))
    assert (again(partly).status, again(few).status) == ("CANCELLED", "CANCELLED")
    assert portfolio(alice).reserved == portfolio(bob).reserved == 0
    assert verification.check_ledger() == []


def test_a_decision_on_the_old_terms_is_dropped(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 9, order_type="LIMIT", price=95)
    rows = floor.board.merge([])
    assert not rows
    live = floor.desk.orders[order.pk]
    assert live.version == 1
    apply(announce(acme, "SPLIT", numerator=3, denominator=1))
    floor.tick(acme, 94.0, asks=[(94.0, 1_000)])  # the desk still knows the old price
    assert again(order).filled_quantity == 0
    floor.run()
    assert floor.desk.orders[order.pk].quantity == 27


@pytest.mark.parametrize("halted", [True, False], ids=["halted", "control: trading"])
def test_nothing_fills_between_the_orders_change_and_the_prices(
    floor: Floor, alice: User, acme: Instrument, halted: bool
) -> None:
    """A limit at the new scale must not meet a price at the old one."""
    floor.tick(acme, 100.0, bids=[(99.95, 1_000)])
    floor.buy(alice, acme, 10)
    offer = floor.sell(alice, acme, 10, order_type="LIMIT", price=105)
    floor.now = MORNING
    floor.tick(acme, 100.0, bids=[(99.95, 1_000)])  # still the price of before
    action = announce(acme, "SPLIT", numerator=5, denominator=1)
    services.apply(action=action, actor=None, reason="for the test", at=floor.now)
    assert services.resume(at=floor.now + timedelta(seconds=1)) == 0
    if not halted:
        Instrument.objects.update(halted=False)
    floor.run()
    assert again(offer).filled_quantity == (0 if halted else 50)
    if not halted:
        return
    with pytest.raises(DomainError, match="corporate action"):
        floor.buy(alice, acme, 1)
    floor.wait(10)
    assert services.resume(at=floor.now) == 1
    floor.tick(acme, 20.0, previous_close=20.0)
    floor.run()
    assert again(offer).filled_quantity == 0
    floor.tick(acme, 21.5, bids=[(21.45, 1_000)])
    assert (again(offer).status, again(offer).average_price) == ("FILLED", D("21.00"))


def test_a_halt_of_staff_outlives_the_action(floor: Floor, acme: Instrument) -> None:
    Instrument.objects.update(halted=True, halt_reason="an inquiry")
    apply(announce(acme, "SPLIT", numerator=5, denominator=1))
    acme.refresh_from_db()
    assert (acme.halted, acme.halt_reason) == (True, "an inquiry")


# --- Once, and back -----------------------------------------------------------------------
def test_an_interrupted_action_goes_on(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.buy(bob, acme, 10)
    action = announce(acme, "SPLIT", numerator=2, denominator=1)
    CorporateAction.objects.filter(pk=action.pk).update(status="APPLYING")
    apply_step(
        action=action, portfolio_id=portfolio(alice).pk, factor=Fraction(2),
        since=services.begins(action), at=MORNING,
    )  # fmt: skip
    assert services.apply_due(at=MORNING) == 1
    assert (held(alice).quantity, held(bob).quantity) == (20, 20)
    assert CorporateActionStep.objects.count() == 2


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("SPLIT", {"numerator": 5, "denominator": 1}),
        ("SPLIT", {"numerator": 1, "denominator": 4}),
        ("BONUS", {"numerator": 1, "denominator": 3}),
        ("DIVIDEND", {"amount": D("3.35")}),
    ],
)
def test_reversing_restores_everything(
    floor: Floor, alice: User, acme: Instrument, kind: str, terms: dict[str, Any]
) -> None:
    floor.buy(alice, acme, 10)
    columns = ("quantity", "settled_quantity", "cost", "margin", "realised_pnl")
    before = Position.objects.values_list(*columns).get()
    cash = portfolio(alice).cash
    action = announce(acme, kind, **terms)
    apply(action)
    assert (Position.objects.values_list(*columns).get(), portfolio(alice).cash) != (before, cash)
    assert reverse(action, alice) == 1
    assert Position.objects.values_list(*columns).get() == before
    assert portfolio(alice).cash == cash
    assert verification.check_ledger() == []
    with pytest.raises(services.ActionNotPossible):
        reverse(action, alice)
    verbs = AuditEntry.objects.order_by("pk").values_list("action", "reason")
    assert list(verbs)[-1] == ("corporate_action.reverse", "a slip")
    announce(acme, kind, **terms)  # the right one may follow


def test_reversing_after_trades_turns_back_by_the_ratio(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    action = announce(acme, "SPLIT", numerator=5, denominator=1)
    apply(action)
    floor.now = MORNING.replace(hour=10)
    floor.desk.phases = dict(CONTINUOUS)
    floor.tick(acme, 20.0, previous_close=20.0)
    floor.sell(alice, acme, 27)
    reverse(action, alice, at=floor.now)
    assert held(alice).quantity == 4  # of 23 fifths; three fifths went in cash
    assert verification.check_ledger() == []


def test_a_dividend_that_was_spent_becomes_a_debt(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.tick(acme, 100.0, asks=[(100.0, 100_000)])
    floor.buy(alice, acme, 9_600)
    action = announce(acme, "DIVIDEND", amount=D(50))
    apply(action)
    floor.now = MORNING.replace(hour=10)
    floor.tick(acme, 50.0, asks=[(50.0, 100_000)], previous_close=50.0)
    floor.buy(alice, acme, 9_900, order_type="LIMIT", price=50)
    reverse(action, alice, at=floor.now)
    books = portfolio(alice)
    assert books.cash == books.reserved
    assert books.debt > 0
    assert verification.check_ledger() == []


# --- Announcing ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"kind": "SPLIT", "numerator": 0, "denominator": 1}, "numerator"),
        ({"kind": "SPLIT", "numerator": 2, "denominator": 2}, "numerator"),
        ({"kind": "SPLIT", "numerator": 2}, "denominator"),
        ({"kind": "BONUS", "numerator": 5_000, "denominator": 1}, "numerator"),
        ({"kind": "DIVIDEND", "amount": D(0)}, "amount"),
        ({"kind": "MERGER"}, "kind"),
        ({"kind": "DIVIDEND", "amount": D(1), "ex_date": date(2025, 11, 24)}, "ex_date"),
    ],
)
def test_terms_are_checked(
    floor: Floor, acme: Instrument, fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(services.InvalidAction) as refusal:
        announce(acme, **fields)
    assert set(refusal.value.fields) == {named}


def test_an_action_is_announced_once_and_may_be_withdrawn(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    action = announce(acme, "DIVIDEND", amount=D(1))
    with pytest.raises(services.ActionExists):
        announce(acme, "DIVIDEND", amount=D(2))
    with pytest.raises(services.ActionNotPossible):
        apply(action, at=MORNING - timedelta(hours=2))
    services.cancel(action=action, actor=alice, reason="withdrawn", at=floor.now)
    assert services.apply_due(at=MORNING) == 0


def test_the_last_price_follows_a_split(floor: Floor, acme: Instrument) -> None:
    LastPrice.objects.create(
        instrument=acme, last_price=D(100), previous_close=D(99), traded_at=floor.now,
        source="stream", stored_at=floor.now,
    )  # fmt: skip
    action = announce(acme, "SPLIT", numerator=4, denominator=1)
    apply(action)
    kept = LastPrice.objects.get(instrument=acme)
    assert (kept.last_price, kept.previous_close) == (D(25), D("24.75"))
    assert kept.traded_at == services.begins(action)


# --- Staff --------------------------------------------------------------------------------
def test_a_file_is_taken_whole_or_not_at_all(floor: Floor, alice: User, acme: Instrument) -> None:
    def take(text: str) -> int:
        return importing.take(data=text.encode(), actor=alice, reason="NSE", at=floor.now)

    header = "symbol,kind,ex_date,ratio,amount\n"
    good = "acme,split,2026-11-24,5:1,\nACME,dividend,2026-11-25,,7.50\n"
    with pytest.raises(importing.InvalidFile) as refusal:
        take(header + good + "NOSUCH,bonus,2026-11-24,1:1,\nACME,bonus,2026-11-24,,\n")
    assert [one.line for one in refusal.value.lines] == [4, 5]
    assert not CorporateAction.objects.exists()
    for wrong in ("ACME,split,soon,5:1,", "ACME,split,2026-11-24,five,", "ACME,dividend,,,x"):
        with pytest.raises(importing.InvalidFile):
            take(f"{header}{wrong}\n")
    for broken in ("", header, "a,b\n1,2\n", "symbol\x00", header + "x" * 300_000):
        with pytest.raises(importing.InvalidFile):
            take(broken)
    assert take(header + good) == 2
    assert str(CorporateAction.objects.first()) == "ACME: split 5 for 1"


def test_staff_announce_apply_and_reverse_in_the_admin(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    boss = User.objects.create(username="boss", is_staff=True, is_superuser=True)
    client = Client()
    client.force_login(boss)
    today = clock.now().astimezone(clock.IST).date()
    fields = {
        "instrument": acme.pk, "kind": "SPLIT", "ex_date": today.isoformat(), "numerator": 2,
        "denominator": 1, "source": "circular", "reason": "announced by the exchange",
        "steps-TOTAL_FORMS": 0, "steps-INITIAL_FORMS": 0,
    }  # fmt: skip
    add = reverse_url("admin:trading_corporateaction_add")
    refused = client.post(add, {**fields, "numerator": 1})
    assert "A split changes the number of shares" in refused.content.decode()
    assert client.post(add, fields).status_code == 302
    action = CorporateAction.objects.get()
    page = reverse_url("admin:trading_corporateaction_change", args=[action.pk])
    assert "Apply now" in client.get(page).content.decode()
    with unguarded("trading_fill"):
        Fill.objects.update(filled_at=clock.now() - timedelta(days=3))
    for verb, quantity in (("apply", 20), ("reverse", 10)):
        url = reverse_url(f"admin:trading_corporateaction_{verb}_action", args=[action.pk])
        client.post(url, {"_form_submitted": "on", "reason": "checked"})
        assert held(alice).quantity == quantity
    assert AuditEntry.objects.filter(object_id=str(action.pk), actor=boss).count() == 3
    file = SimpleUploadedFile("x.csv", b"symbol,kind,ex_date,amount\nACME,dividend,2027-01-04,2\n")
    url = reverse_url("admin:trading_corporateaction_import_file")
    assert client.post(url, {"file": file, "reason": "NSE"}).status_code == 302
    assert CorporateAction.objects.count() == 2


# --- What is derived ----------------------------------------------------------------------
def test_trips_and_the_rebuilt_result_know_the_split(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    apply(announce(acme, "SPLIT", numerator=5, denominator=1))
    floor.now = MORNING.replace(hour=10)
    floor.tick(acme, 22.0, asks=[(22.0, 100)], bids=[(22.0, 100)], previous_close=20.0)
    floor.sell(alice, acme, 20)
    trips = reports.trips(portfolio=portfolio(alice), at=floor.now)
    closed = [trip for trip in trips if trip.closed_at is not None]
    assert [(trip.quantity, trip.entry_price, trip.exit_price) for trip in closed] == [
        (20, D("20.01"), D("22.00"))
    ]
    assert sum(trip.quantity for trip in trips) == 50
    kept = rebuild.quantities(portfolio(alice).contest, until=floor.now)
    assert [(one.symbol, one.quantity) for one in kept[portfolio(alice).pk]] == [("ACME", 30)]


def test_a_bonus_changes_no_day(floor: Floor, alice: User, acme: Instrument) -> None:
    """Five shares become seven and a half; the half is paid out at the price that it began at."""
    floor.buy(alice, acme, 5)
    action = announce(acme, "BONUS", numerator=1, denominator=2)
    floor.now = MORNING
    floor.tick(acme, 66.0, previous_close=66.0)  # 99.00 before the bonus
    assert apply(action) == 1
    assert held(alice).quantity == 7
    row = rows.portfolio_row(portfolio_id=portfolio(alice).pk, at=MORNING)
    assert rows.exact_value(row=row, at=MORNING).day_pnl == 0
