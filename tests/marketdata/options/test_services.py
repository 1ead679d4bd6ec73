"""Sweeping chains into Redis and the database, and reading them back merged."""

from datetime import date, timedelta

import numpy as np
import pytest
from django.db.models import F

from marketdata.board import Board
from marketdata.mirror import mirror
from marketdata.models import Instrument, OptionChainSnapshot
from marketdata.options import pricing, selectors, services
from mockmarket.core import redis
from tests.support.options import AT, EXPIRY, SPOT, STRIKES, Exchange, listed_nifty, put_on_board

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _clean_chains():
    yield
    client = redis.client()
    for key in client.scan_iter(redis.key("chain", "*")):
        client.delete(key)
    mirror().load(Board(epoch="clean").snapshot(at_ms=0))


@pytest.fixture
def nifty() -> Instrument:
    return listed_nifty()


def test_a_swept_chain_is_read_back_with_its_interest(nifty):
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    put_on_board({}, 0)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert chain.strikes.tolist() == STRIKES
    assert chain.lot_size == 65
    assert chain.interest_at == AT
    assert chain.calls.volatility == pytest.approx(0.14, abs=1e-6)
    assert chain.calls.open_interest.tolist() == [650.0] * 5


def test_live_prices_and_spot_change_the_greeks(nifty):
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    at_ms = int(AT.timestamp() * 1000) + 1_000
    call = "NSE_FO|C24000"
    put_on_board({nifty.key: 24_100.0, call: 190.0}, at_ms)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    row = chain.calls.keys.index(call)
    assert chain.spot == 24_100.0
    assert chain.calls.last_price[row] == 190.0
    again = pricing.price(
        spot=24_100.0,
        strike=24_000.0,
        years=chain.years,
        volatility=chain.calls.volatility[row],
        is_call=True,
        rate=0.065,
    )
    assert again == pytest.approx(190.0)


def test_without_redis_contents_the_stored_chain_serves(nifty):
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    redis.client().delete(selectors.chain_key(nifty.key, EXPIRY))
    put_on_board({}, 0)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert chain.calls.open_interest.tolist() == [650.0] * 5


def test_a_split_outdates_every_sweep_from_before_it(nifty):
    """Until the next sweep the chain has the new strikes and no interest, from wherever it comes;
    the old ones stood beside the new prices for up to 15 minutes."""
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    Instrument.objects.filter(underlying_key=nifty.key).update(strike_price=F("strike_price") / 5)
    put_on_board({}, 0)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert chain.strikes.tolist() == [strike / 5 for strike in STRIKES]
    assert np.isnan(chain.calls.open_interest).all()


def test_before_any_sweep_the_contracts_are_listed(nifty):
    put_on_board({}, 0)
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert chain.strikes.tolist() == STRIKES
    assert np.isnan(chain.calls.open_interest).all()


def test_an_unlisted_expiry_is_refused(nifty):
    with pytest.raises(selectors.NoSuchChain):
        selectors.live_chain(underlying=nifty, expiry_date=date(2026, 12, 1), at=AT)


def test_due_takes_the_longest_unswept_and_waits_between_sweeps(nifty, settings):
    settings.OPTION_SWEEP_SECONDS = 120
    assert services.due(at=AT) == [(nifty, EXPIRY)]
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert services.due(at=AT + timedelta(seconds=119)) == []
    assert services.due(at=AT + timedelta(seconds=120)) == [(nifty, EXPIRY)]
    assert services.due(at=AT + timedelta(seconds=120), limit=0) == []


def test_a_close_is_kept_once_however_often_it_is_recorded(nifty):
    for minutes in (0, 5):
        services.sweep_chain(
            source=Exchange(spot=SPOT + minutes),
            underlying=nifty,
            expiry_date=EXPIRY,
            at=AT + timedelta(minutes=minutes),
        )
    assert services.record_closes(at=AT) == 1
    assert services.record_closes(at=AT) == 0
    close = OptionChainSnapshot.objects.get(kind="CLOSE")
    assert close.spot == SPOT + 5
    assert services.prune_session_snapshots(at=AT + timedelta(days=30)) == 2
    assert OptionChainSnapshot.objects.get() == close


def test_rank_comes_from_stored_closes(nifty):
    for day, volatility in enumerate([0.10, 0.20, 0.30]):
        at = AT - timedelta(days=3 - day)
        services.sweep_chain(
            source=Exchange(volatility=volatility), underlying=nifty, expiry_date=EXPIRY, at=at
        )
        services.record_closes(at=at)
    history = selectors.volatility_history(underlying=nifty, at=AT)
    assert len(history) == 3
    chain = selectors.live_chain(underlying=nifty, expiry_date=EXPIRY, at=AT)
    found = selectors.analysis(underlying=nifty, chain=chain, at=AT)
    assert found.history_days == 3
    assert found.volatility_rank is not None


def test_the_blast_record_counts_what_the_spot_did_next(nifty):
    spots = [24_000.0, 24_200.0, 24_200.0]
    for step, spot in enumerate(spots):
        services.sweep_chain(
            source=Exchange(spot=spot),
            underlying=nifty,
            expiry_date=EXPIRY,
            at=AT + timedelta(minutes=10 * step),
        )
    found = selectors.blast_record(underlying=nifty, at=AT)
    # The first moved by 200, the second stayed, the third has no later spot.
    assert (found.forecasts, found.base_rate) == (2, 0.5)
