"""The end of a session: once, whatever happens."""

from datetime import UTC, date, datetime, timedelta

import pytest

from marketdata import closing, loading, mirror, selectors, services
from marketdata.board import Board
from marketdata.models import Candle, ClosingPrice, Instrument, LastPrice
from marketdata.quotes import Tick
from marketdata.sessions import CAS_MARKET
from mockmarket.core import clock
from mockmarket.core import redis as store
from mockmarket.core.clock import IST
from mockmarket.core.models import JobRun

pytestmark = pytest.mark.django_db

FRIDAY = date(2026, 11, 20)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST).astimezone(UTC)


@pytest.fixture(autouse=True)
def real_hours(settings):
    settings.MARKET_HOURS = "nse"
    store.client().delete(store.key("board"))
    mirror.mirror.cache_clear()
    selectors.forget()
    yield
    mirror.mirror.cache_clear()
    selectors.forget()


@pytest.fixture
def shares():
    """ACME trades in the auction, BETA does not, GAMMA never trades; and one index."""
    common = {"exchange": "NSE", "in_universe": True, "instrument_type": "EQ"}
    return {
        symbol: Instrument.objects.create(
            key=f"{segment}|{symbol}", symbol=symbol, name=symbol, segment=segment,
            cas_eligible=cas, **common,
        )
        for symbol, segment, cas in (
            ("ACME", "NSE_EQ", True),
            ("BETA", "NSE_EQ", False),
            ("GAMMA", "NSE_EQ", False),
            ("NIFTY", "NSE_INDEX", False),
        )
    }  # fmt: skip


def tick(key: str, price: float, at: datetime) -> Tick:
    moment = clock.to_ms(at)
    return Tick(
        instrument_key=key, exchange_ms=moment, received_ms=moment, source="rest",
        last_price=price, last_trade_ms=moment, previous_close=90.0, volume=7, open=95.0,
    )  # fmt: skip


class Quotes:
    """Upstox as the job sees it: every share traded at `traded`."""

    def __init__(self, traded: str = "2026-11-20T15:29:00") -> None:
        self.calls: list[list[str]] = []
        self.traded = traded
        self.down = False

    def __call__(self, keys):
        self.calls.append(list(keys))
        if self.down:
            return []
        old = ist("2026-11-18T12:00:00")
        return [
            tick(key, 100.0, old if key.endswith("GAMMA") else ist(self.traded)) for key in keys
        ]


def closes() -> dict[str, str]:
    return {
        row.instrument.symbol: f"{row.close}/{row.source}"
        for row in ClosingPrice.objects.select_related("instrument")
    }


class TestDue:
    @pytest.mark.parametrize(
        ("at", "markets"),
        [
            ("2026-11-20T15:30:59", set()),
            ("2026-11-20T15:31:00", {"NSE_EQ", "BSE_EQ", "BSE_INDEX"}),
            ("2026-11-20T15:36:00", {"NSE_EQ", "BSE_EQ", "BSE_INDEX", CAS_MARKET, "NSE_INDEX"}),
        ],
    )
    def test_each_market_is_due_a_minute_after_its_own_close(self, at, markets):
        due = closing.due(at=ist(at))
        assert {market for market, day in due if day == FRIDAY} == markets

    def test_before_the_change_all_are_due_at_15_31(self):
        day = date(2026, 7, 31)
        due = closing.due(at=ist("2026-07-31T15:31:00"))
        assert {market for market, found in due if found == day} == set(closing.CLOSING_MARKETS)


class TestTake:
    def test_what_has_no_price_yet_shows_the_close(self, shares):
        """A desk first opened on a weekend; a newer price than the close stays."""
        at = ist("2026-11-20T15:36:30")
        LastPrice.objects.create(
            instrument=shares["ACME"], last_price=101, traded_at=at, stored_at=at, source="stream"
        )
        closing.take(market="NSE_EQ", day=FRIDAY, at=at, fetch=Quotes())
        closing.take(market=CAS_MARKET, day=FRIDAY, at=at, fetch=Quotes())
        shown = dict(LastPrice.objects.values_list("instrument__symbol", "last_price"))
        assert shown == {"ACME": 101, "BETA": 100}

    def test_it_stores_each_price_once_however_often_it_runs(self, shares):
        quotes, at = Quotes(), ist("2026-11-20T15:36:30")
        for _ in range(3):
            closing.take_due(at=at, fetch=quotes)
        assert closes() == {
            "ACME": "100.0000/rest", "BETA": "100.0000/rest", "NIFTY": "100.0000/rest"
        }  # fmt: skip
        assert len(quotes.calls) == 3  # one a market that has instruments
        assert Candle.objects.filter(interval="1d", start=ist("2026-11-20T00:00:00")).count() == 3

    def test_a_share_that_did_not_trade_has_no_close_and_is_not_waited_for(self, shares):
        closing.take_due(at=ist("2026-11-20T15:36:30"), fetch=Quotes())
        assert "GAMMA" not in closes()
        run = JobRun.objects.get(job="closing:NSE_EQ", key="2026-11-20")
        assert (run.state, run.detail["unanswered"]) == ("DONE", [])

    def test_with_rest_down_the_board_is_the_source(self, shares):
        board = Board(epoch="e")
        board.merge([tick("NSE_EQ|BETA", 101.5, ist("2026-11-20T15:29:58"))])
        mirror.mirror().load(board.snapshot(at_ms=clock.to_ms(ist("2026-11-20T15:31:00"))))
        quotes = Quotes()
        quotes.down = True
        closing.take_due(at=ist("2026-11-20T15:31:30"), fetch=quotes)
        assert closes() == {"BETA": "101.5000/board"}
        assert JobRun.objects.get(job="closing:NSE_EQ", key="2026-11-20").state == "FAILED"
        quotes.down = False
        closing.take_due(at=ist("2026-11-20T15:32:30"), fetch=quotes)
        assert closes()["BETA"] == "101.5000/board"  # written once, never changed
        assert JobRun.objects.get(job="closing:NSE_EQ", key="2026-11-20").state == "DONE"

    def test_a_run_that_died_is_taken_over_and_one_under_way_is_not(self, shares):
        at = ist("2026-11-20T15:36:30")
        JobRun.objects.create(job="closing:NSE_EQ", key="2026-11-20", started_at=at)
        later = at + timedelta(minutes=1)
        assert not closing.take(market="NSE_EQ", day=FRIDAY, at=later, fetch=Quotes())
        assert closing.take(
            market="NSE_EQ", day=FRIDAY, at=at + timedelta(minutes=6), fetch=Quotes()
        )
        assert closes() == {"BETA": "100.0000/rest"}

    def test_a_late_run_uses_what_the_database_kept(self, shares):
        traded = ist("2026-11-19T15:29:00")
        LastPrice.objects.create(
            instrument=shares["BETA"], last_price="99.50", traded_at=traded, stored_at=traded,
            source="stream",
        )  # fmt: skip
        quotes = Quotes()
        closing.take(
            market="NSE_EQ", day=date(2026, 11, 19), at=ist("2026-11-20T10:00:00"), fetch=quotes
        )
        assert quotes.calls == []  # Upstox quotes today, not yesterday
        assert closes() == {"BETA": "99.5000/database"}

    def test_a_session_without_data_is_recorded_as_such(self, shares):
        quotes = Quotes()
        quotes.down = True
        closing.take_due(at=ist("2026-11-20T18:00:00"), fetch=quotes)
        run = JobRun.objects.get(job="closing:NSE_EQ", key="2026-11-20")
        assert (run.state, run.detail["no_data"]) == ("DONE", True)
        assert closes() == {}

    def test_prices_of_another_day_are_not_the_close(self, shares):
        closing.take_due(at=ist("2026-11-20T15:36:30"), fetch=Quotes("2026-11-19T15:29:00"))
        assert closes() == {}


class TestPreviousClose:
    def test_the_close_becomes_the_next_sessions_previous_close(self, shares):
        closing.take_due(at=ist("2026-11-20T15:36:30"), fetch=Quotes())
        calendar = selectors.calendar()
        ticks = loading.previous_closes(at=ist("2026-11-23T09:00:00"), calendar=calendar)
        assert {one.instrument_key: one.previous_close for one in ticks} == {
            "NSE_EQ|ACME": 100.0, "NSE_EQ|BETA": 100.0, "NSE_INDEX|NIFTY": 100.0
        }  # fmt: skip
        board = Board(epoch="e")
        board.merge([tick("NSE_EQ|BETA", 104.0, ist("2026-11-20T15:29:58"))])
        board.merge(ticks)
        quote = board.quote("NSE_EQ|BETA")
        assert quote is not None
        assert quote.previous_close == 100

    def test_a_seeded_universe_has_instruments_in_each_market(self):
        services.seed_universe()
        for market in ("NSE_EQ", CAS_MARKET, "NSE_INDEX", "BSE_INDEX"):
            assert closing._instruments(market)
