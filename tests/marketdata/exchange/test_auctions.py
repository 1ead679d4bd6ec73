"""The exchange by NSE's clock: pre-open, closing auction, holidays, special sessions."""

from datetime import date, datetime
from functools import cache

import pytest

from marketdata import sessions, status
from marketdata.exchange.hours import NSE
from marketdata.exchange.records import Record
from marketdata.exchange.simulated import SimulatedSource
from mockmarket.core.clock import IST
from tests.support.exchange import HDFC, NIFTY, simulated

FRIDAY = "2026-11-20"


@cache
def source() -> SimulatedSource:
    found = simulated(hours=NSE)
    assert isinstance(found, SimulatedSource)
    return found


@cache
def others() -> tuple[str, str]:
    """A share without derivatives, and a future."""
    listings = source().listings.values()
    plain = next(one.key for one in listings if one.segment == "NSE_EQ" and not one.cas_eligible)
    return plain, next(one.key for one in listings if one.instrument_type == "FUT")


def ms(text: str, day: str = FRIDAY) -> int:
    return round(datetime.fromisoformat(f"{day}T{text}").replace(tzinfo=IST).timestamp() * 1000)


def told(key: str, text: str, day: str = FRIDAY) -> Record:
    (record,) = source().records(keys=[key], now_ms=ms(text, day))
    return record


def ticking(text: str, day: str = FRIDAY) -> set[str]:
    """Who ticks within a second."""
    keys = [HDFC, NIFTY, *others()]
    return {
        record.key
        for beat in range(50)
        for frame in source().due(now_ms=ms(text, day) + 20 * beat, wanted=keys)
        for record in frame
    }


@pytest.mark.parametrize(
    ("clock", "shares", "futures", "auction"),
    [
        ("08:59", "CLOSING_END", "CLOSING_END", None),
        ("09:00", "PRE_OPEN_START", "PRE_OPEN_START", None),
        ("09:08", "PRE_OPEN_END", "PRE_OPEN_END", None),
        ("09:15", "NORMAL_OPEN", "NORMAL_OPEN", None),
        ("15:15", "NORMAL_OPEN", "NORMAL_OPEN", "CTS_CLOSE"),
        ("15:20", "NORMAL_OPEN", "NORMAL_OPEN", "CAS_LM_START"),
        ("15:25", "NORMAL_OPEN", "NORMAL_OPEN", "CAS_M_STOP"),
        ("15:30", "NORMAL_CLOSE", "NORMAL_OPEN", "CAS_STOP"),
        ("15:35", "NORMAL_CLOSE", "NORMAL_OPEN", "NORMAL_CLOSE"),
        ("15:40", "NORMAL_CLOSE", "CLOSING_END", "NORMAL_CLOSE"),
        ("15:50", "CLOSING_START", "CLOSING_END", "NORMAL_CLOSE"),
        ("16:00", "CLOSING_END", "CLOSING_END", "NORMAL_CLOSE"),
    ],
)
def test_it_names_its_phases_as_the_exchange_does(
    clock: str, shares: str, futures: str, auction: str | None
) -> None:
    found = source().phases(now_ms=ms(clock))
    assert (found.segments["NSE_EQ"], found.segments["NSE_FO"]) == (shares, futures)
    assert found.closing_auction.get("NSE_EQ") == auction
    assert ("NSE_EQ" in found.pre_open) == shares.startswith("PRE_OPEN")


@pytest.mark.parametrize(
    ("clock", "who"),
    [
        ("08:59", ""), ("09:05", "share plain"), ("09:15", "share index plain future"),
        ("15:17", "plain future"), ("15:22", "share plain future"), ("15:31", "share future"),
        ("15:33", "share index future"), ("15:36", "future"), ("15:41", ""),
    ],
)  # fmt: skip
def test_only_what_trades_or_is_auctioned_ticks(clock: str, who: str) -> None:
    plain, future = others()
    names = {"share": HDFC, "index": NIFTY, "plain": plain, "future": future}
    assert ticking(clock) == {names[name] for name in who.split()}


def test_yesterdays_closes_stand_in_the_pre_open_until_the_first_trade() -> None:
    before, opened = told(HDFC, "09:07"), told(HDFC, "09:15")
    assert before.last_price == before.previous_close == opened.previous_close
    assert before.last_price == told(HDFC, "16:00", "2026-11-19").last_price
    assert before.volume == 0
    assert (before.bids, before.day, before.minute) == ((), None, None)
    assert before.indicative_price == pytest.approx(before.last_price, rel=0.02)
    assert (before.indicative_quantity > 0, opened.indicative_price) == (True, 0)


def test_the_closing_auction_is_one_trade_near_its_reference() -> None:
    last, stands, near = told(HDFC, "15:14:59"), told(HDFC, "15:22"), told(HDFC, "15:31")
    after = told(HDFC, "15:33")
    assert stands.last_price == near.last_price == stands.reference_price
    assert stands.last_price == pytest.approx(last.last_price, rel=0.005)
    assert stands.last_trade_ms == ms("15:15")
    assert (stands.bids, stands.volume) == ((), near.volume)
    assert abs(stands.indicative_price / stands.reference_price - 1) <= 0.03
    assert after.last_price == near.indicative_price
    assert after.last_trade_ms == ms("15:32")
    assert after.volume > near.volume
    sunday = told(HDFC, "10:00", "2026-11-22")
    assert (sunday.last_price, sunday.volume) == (after.last_price, after.volume)
    assert told(NIFTY, "15:31").last_price == told(NIFTY, "15:15").last_price
    assert told(NIFTY, "15:33").last_price != told(NIFTY, "15:31").last_price


def test_others_trade_on_while_it_stands() -> None:
    plain, future = others()
    prices = {told(plain, f"15:{minute}").last_price for minute in range(16, 30)}
    assert len(prices) > 5
    assert told(plain, "15:31").last_trade_ms == ms("15:30")
    assert len({told(future, f"15:{minute}").last_price for minute in range(16, 30)}) > 5


def test_its_minutes_are_none_and_then_the_one_trade() -> None:
    def minutes(key: str, clock: str) -> list[str]:
        bars = source().minute_bars(key=key, day=date.fromisoformat(FRIDAY), now_ms=ms(clock))
        starts = [datetime.fromtimestamp(bar.start_ms / 1000, IST) for bar in bars]
        return [f"{start:%H:%M}" for start in starts]

    assert minutes(HDFC, "15:25")[-1] == "15:14"
    assert minutes(HDFC, "15:33")[-2:] == ["15:14", "15:32"]
    assert minutes(others()[0], "15:33")[-1] == "15:29"


def test_before_the_change_everybody_closes_at_half_past_three() -> None:
    day = "2026-07-31"
    assert source().phases(now_ms=ms("15:20", day)).closing_auction == {}
    assert ticking("15:20", day) >= {HDFC, NIFTY}
    assert ticking("15:31", day) == set()


def test_holidays_are_closed_and_special_sessions_play_the_whole_day() -> None:
    hours = source().hours
    assert ticking("11:00", "2026-11-24") == set()
    assert not hours.is_session(date(2026, 11, 24))
    day = date(2026, 11, 8)  # Muhurat trading, an hour on a Sunday evening
    assert [hours.is_open(ms(clock, str(day))) for clock in ("17:59", "18:00", "19:00")] == [
        False, True, False,
    ]  # fmt: skip
    assert hours.position(ms("18:30", str(day))) == (day, 375 * 30.0)
    assert hours.clock_ms(day, 375 * 30.0) == ms("18:30", str(day))
    bars = source().minute_bars(key=HDFC, day=day, now_ms=ms("20:00", str(day)))
    assert len(bars) == 60
    assert all(bar.start_ms % 60_000 == 0 for bar in bars)
    closed = told(HDFC, "20:00", str(day))
    assert (bars[-1].close, closed.minute) == (closed.last_price, None)
    assert told(HDFC, "09:05", "2026-11-09").previous_close == closed.last_price


@pytest.mark.parametrize(
    ("clock", "due"),
    [("09:14", False), ("09:15", True), ("15:14", True), ("15:16", False), ("15:36", False)],
)
def test_a_flat_price_in_an_auction_is_no_stale_feed(clock: str, due: bool) -> None:
    assert NSE.calendar is not None
    at = datetime.fromisoformat(f"{FRIDAY}T{clock}").replace(tzinfo=IST)
    assert status.frames_due(at=at, calendar=NSE.calendar) == due
    found = status.build(
        at=at, calendar=NSE.calendar, source="simulated", connected=True, newest_ms=1,
        quiet_ms=60_000,
    )  # fmt: skip
    moving = sessions.overall_phase(at=at, calendar=NSE.calendar) in status.MOVING
    assert found.status == ("delayed" if due else "live" if moving else "closed")
