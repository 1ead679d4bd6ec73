"""The simulated market: one path for history and the live tick, sane at every instant."""

import functools
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata import universe
from marketdata.exchange import book
from marketdata.exchange.hours import ALWAYS, NSE
from marketdata.exchange.listing import BAND, from_universe
from marketdata.exchange.prices import Market

NOON_MS = 1_795_199_400_000 + 12 * 3_600_000  # 2026-11-21 12:00 in India
LISTINGS = from_universe(universe.load())


def market(seed: int = 1, hours=ALWAYS) -> Market:  # type: ignore[no-untyped-def]
    return Market(listings=LISTINGS, seed=seed, hours=hours)


@functools.cache
def _shared() -> Market:
    return market()


@pytest.fixture
def shared() -> Market:
    return _shared()


def test_the_same_seed_repeats_the_day_and_another_does_not(shared: Market) -> None:
    again, other = market().state(NOON_MS), market(seed=2).state(NOON_MS)
    assert np.array_equal(shared.state(NOON_MS).last, again.last)
    assert not np.array_equal(again.last, other.last)


def test_a_share_keeps_its_path_when_others_leave(shared: Market) -> None:
    few = Market(listings=LISTINGS[:12], seed=1, hours=ALWAYS)
    assert few.state(NOON_MS).last[9] == shared.state(NOON_MS).last[9]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 86_399_999))
def test_every_instant_is_sane(offset: int) -> None:
    shared = _shared()
    state = shared.state(NOON_MS - 12 * 3_600_000 + offset)
    assert (state.low <= state.last).all()
    assert (state.last <= state.high).all()
    assert (state.low <= state.open).all()
    assert (state.volume >= 0).all()
    shares = ~shared.is_index
    steps = state.last[shares] / shared.tick[shares]
    assert np.abs(steps - np.rint(steps)).max() < 1e-4
    moved = state.last[shares] / state.previous_close[shares] - 1
    assert np.abs(moved).max() <= BAND + 0.02  # a tick of 5 rupees may round outwards


def test_indices_are_computed_from_their_constituents(shared: Market) -> None:
    state = shared.state(NOON_MS)
    for row, listing in enumerate(LISTINGS):
        members = [
            (place, share.weights[listing.key])
            for place, share in enumerate(LISTINGS)
            if listing.key in share.weights
        ]
        if members:
            total = sum(weight for _, weight in members)
            value = listing.reference * sum(
                weight / total * state.last[place] / LISTINGS[place].reference
                for place, weight in members
            )
            # Sub-second instants are interpolated and each price is rounded to its tick.
            assert state.last[row] == pytest.approx(value, rel=1e-4)


def test_history_is_the_path_that_was_live(shared: Market) -> None:
    start = shared.hours.start_ms(shared.state(NOON_MS).day) + 600 * 60_000
    prices = np.array([shared.state(start + step * 250).last for step in range(241)])
    for row, listing in enumerate(LISTINGS):
        if listing.is_index:
            continue
        bars, _ = shared.minute_bars(row, shared.state(start).day)
        opened, high, low, close = bars[600]
        assert prices[0, row] == opened
        assert prices[-1, row] == close
        assert prices[:, row].max() <= high
        assert prices[:, row].min() >= low


def test_a_session_opens_where_the_last_one_closed(shared: Market) -> None:
    today = shared.state(NOON_MS).day
    for row in (0, 9, 60):
        before, _ = shared.minute_bars(row, today - timedelta(days=1))
        bars, volumes = shared.minute_bars(row, today)
        assert bars[0, 0] == before[-1, 3]
        assert shared.state(NOON_MS).previous_close[row] == before[-1, 3]
        ((opened, high, low, close, volume),) = shared.day_bars(row, [today], today=today)
        assert (opened, close) == (bars[0, 0], bars[-1, 3])
        assert volume == pytest.approx(volumes.sum(), abs=1_440)  # minutes are whole units
        assert (high, low) == (bars[:, 1].max(), bars[:, 2].min())


def test_volume_is_u_shaped_and_only_grows(shared: Market) -> None:
    state = shared.state(NOON_MS)
    _, volumes = shared.minute_bars(9, state.day)
    assert volumes[:60].sum() > volumes[690:750].sum() < volumes[-60:].sum()
    seen = [shared.state(NOON_MS + step * 500).volume[9] for step in range(200)]
    assert seen == sorted(seen)


def test_shares_of_a_sector_move_together(shared: Market) -> None:
    day = shared.state(NOON_MS).day

    def moves(symbol: str) -> np.ndarray:
        row = next(n for n, item in enumerate(LISTINGS) if item.symbol == symbol)
        return np.diff(np.log(shared.minute_bars(row, day)[0][:, 3]))

    bank, other_bank, software = moves("HDFCBANK"), moves("ICICIBANK"), moves("TCS")
    assert np.corrcoef(bank, other_bank)[0, 1] > np.corrcoef(bank, software)[0, 1] > 0.1


def test_exchange_hours_close_at_night_and_on_sunday() -> None:
    held = market(hours=NSE)
    opening = 1_795_146_300_000  # Friday 2026-11-20 09:15 in India
    assert held.hours.is_open(opening)
    assert not held.hours.is_open(opening - 1)
    assert not held.hours.is_open(opening + 375 * 60_000)
    evening, sunday = held.state(opening + 600 * 60_000), held.state(opening + 48 * 3_600_000)
    assert np.array_equal(evening.last, sunday.last)
    assert evening.minute == 374
    bars, _ = held.minute_bars(9, evening.day)
    assert len(bars) == 375
    assert bars[-1, 3] == evening.last[9]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1_728_000))
def test_books_are_never_crossed(slot: int) -> None:
    shared = _shared()
    rows = np.flatnonzero(~shared.is_index)
    state = shared.state(NOON_MS - 12 * 3_600_000 + slot * 50)
    found = book.books(
        names=shared.names[rows],
        tick=shared.tick[rows],
        lot=shared.lot[rows],
        volume=shared.volume[rows],
        last=state.last[rows],
        previous_close=state.previous_close[rows],
        band=BAND,
        seed=1,
        slot=slot,
        depth=5,
    )
    assert (found.ask_prices[:, 0] > found.bid_prices[:, 0]).all()
    assert (np.diff(found.bid_prices, axis=1) < 0).all()
    assert (np.diff(found.ask_prices, axis=1) > 0).all()
    last = state.last[rows]
    at_touch = np.isclose(found.ask_prices[:, 0], last) | np.isclose(found.bid_prices[:, 0], last)
    assert at_touch.all()
    assert (found.bid_quantities % shared.lot[rows, None] == 0).all()
