"""Futures, term structure, volume spikes and yesterday's range around a chain."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from marketdata.models import Candle, Instrument
from marketdata.options import selectors, services, surroundings
from mockmarket.core import redis
from mockmarket.core.clock import IST
from tests.support.options import AT, EXPIRY, SPOT, Exchange, listed_nifty, put_on_board

pytestmark = pytest.mark.django_db

NEXT = date(2026, 12, 1)


@pytest.fixture
def nifty():
    for key in redis.client().scan_iter(redis.key("chain", "*")):
        redis.client().delete(key)
    return listed_nifty()


class Dearer(Exchange):
    """Further expiries at a higher volatility; its calls trade three times as much."""

    def option_chain(self, underlying_key, expiry_date):
        self.volatility = 0.14 if expiry_date == EXPIRY else 0.18
        rows = super().option_chain(underlying_key, expiry_date)
        for row in rows:
            row["call_options"]["market_data"]["volume"] = 65 * 600
        return rows


def list_next_expiry():
    for row in list(Instrument.objects.filter(segment="NSE_FO")):
        row.pk, row.key, row.expiry_date = None, f"{row.key}N", NEXT
        row.symbol = f"{row.symbol} N"
        row.save()


def test_futures_are_listed_nearest_first(nifty):
    for day in (date(2026, 12, 29), EXPIRY, date(2026, 11, 10)):
        Instrument.objects.create(
            key=f"NSE_FO|FUT{day}", symbol=f"NIFTY FUT {day}", name="NIFTY", exchange="NSE",
            segment="NSE_FO", instrument_type="FUT", underlying_key=nifty.key, expiry_date=day,
        )  # fmt: skip
    found = surroundings.futures(underlying=nifty, at=AT)
    assert [row.expiry_date for row in found] == [EXPIRY, date(2026, 12, 29)]


def test_term_structure_has_each_swept_expiry(nifty):
    list_next_expiry()
    put_on_board({nifty.key: SPOT}, int(AT.timestamp() * 1000))
    services.sweep_chain(source=Dearer(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert [day for day, _ in surroundings.term_structure(underlying=nifty, at=AT)] == [EXPIRY]
    exchange = Dearer()
    exchange.option_chain = renamed(exchange)
    services.sweep_chain(source=exchange, underlying=nifty, expiry_date=NEXT, at=AT)
    terms = dict(surroundings.term_structure(underlying=nifty, at=AT))
    assert terms[EXPIRY] == pytest.approx(0.14, abs=1e-3)
    assert terms[NEXT] > 0.15


def renamed(exchange):
    """The exchange's answer with the keys of the later contracts."""

    def answer(underlying_key, expiry_date):
        rows = Dearer.option_chain(exchange, underlying_key, expiry_date)
        for row in rows:
            for side in ("call_options", "put_options"):
                row[side]["instrument_key"] += "N"
        return rows

    return answer


def test_further_expiries_are_swept_more_seldom(nifty, settings):
    list_next_expiry()
    assert services.due(at=AT) == [(nifty, EXPIRY), (nifty, NEXT)]
    for day in (EXPIRY, NEXT):
        services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=day, at=AT)
    pause = timedelta(seconds=settings.OPTION_SWEEP_SECONDS)
    assert services.due(at=AT + pause) == [(nifty, EXPIRY)]
    # The nearest is 7.5 times over its time, the further one once: the most overdue goes first.
    assert services.due(at=AT + 7.5 * pause) == [(nifty, EXPIRY), (nifty, NEXT)]


def test_a_volume_spike_is_measured_against_earlier_sessions_at_this_time(nifty):
    put_on_board({nifty.key: SPOT}, int(AT.timestamp() * 1000))
    for back in (1, 2):
        then = AT - timedelta(days=back)
        services.sweep_chain(source=Hundred(), underlying=nifty, expiry_date=EXPIRY, at=then)
    # Another time of the day says nothing.
    services.sweep_chain(
        source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT - timedelta(hours=26)
    )
    services.sweep_chain(source=Dearer(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    found = surroundings.volume_spikes(underlying=nifty, chain=chain, at=AT)
    assert {(spike.kind, spike.times) for spike in found} == {("CE", 6.0)}
    assert len(found) == 5


class Hundred(Exchange):
    """Each contract has traded 100 lots."""

    def option_chain(self, underlying_key, expiry_date):
        rows = super().option_chain(underlying_key, expiry_date)
        for row in rows:
            for side in ("call_options", "put_options"):
                row[side]["market_data"]["volume"] = 65 * 100
        return rows


def test_without_earlier_sessions_there_are_no_spikes(nifty):
    put_on_board({nifty.key: SPOT}, int(AT.timestamp() * 1000))
    services.sweep_chain(source=Dearer(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert surroundings.volume_spikes(underlying=nifty, chain=chain, at=AT) == []


@pytest.mark.parametrize(
    ("spot", "breakout"), [(24_101.0, "above"), (23_899.0, "below"), (24_000.0, None)]
)
def test_the_spot_is_held_against_yesterdays_range(nifty, spot, breakout):
    for day, high in ((18, "24500"), (19, "24100"), (20, "25000")):
        Candle.objects.create(
            instrument=nifty, interval=Candle.Interval.DAY,
            start=datetime(2026, 11, day, tzinfo=IST), open=Decimal("24000"),
            high=Decimal(high), low=Decimal("23900"), close=Decimal("24000"),
        )  # fmt: skip
    found = surroundings.yesterday(underlying=nifty, spot=spot, at=AT)
    assert (found.day, found.low, found.high) == (date(2026, 11, 19), 23_900.0, 24_100.0)
    assert found.breakout == breakout


def test_without_a_candle_there_is_no_range(nifty):
    assert surroundings.yesterday(underlying=nifty, spot=SPOT, at=AT) is None
