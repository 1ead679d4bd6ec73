"""The fallback chain: board, cache, database, each with its label and age."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from marketdata import mirror, selectors
from marketdata.board import Board
from marketdata.models import Instrument, LastPrice
from marketdata.quotes import Tick
from mockmarket.core import clock
from mockmarket.core import redis as store

pytestmark = pytest.mark.django_db

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)
ACME, BETA, NOTHING = "NSE_EQ|ACME", "NSE_EQ|BETA", "NSE_EQ|NOTHING"


@pytest.fixture(autouse=True)
def clean():
    store.client().delete(store.key("board"))
    mirror.mirror.cache_clear()
    selectors.forget()
    yield
    store.client().delete(store.key("board"))
    mirror.mirror.cache_clear()
    selectors.forget()


@pytest.fixture
def shares():
    return [
        Instrument.objects.create(
            key=key, symbol=key[7:], name=f"{key[7:]} Limited", isin=f"INE{key[7:]}",
            exchange="NSE", segment="NSE_EQ", instrument_type="EQ", sector="IT",
            in_universe=True,
        )
        for key in (ACME, BETA)
    ]  # fmt: skip


def board(*, at: datetime = AT, source: str = "stream") -> Board:
    found = Board(epoch="e")
    moment = clock.to_ms(at)
    found.merge(
        [
            Tick(
                instrument_key=ACME, exchange_ms=moment - 20, received_ms=moment - 10,
                source=source, last_price=102.0, previous_close=100.0, volume=5,
                bids=((101.9, 7),), asks=((102.1, 3),),
            )
        ]
    )  # fmt: skip
    return found


def keep(instrument: Instrument, price: str) -> None:
    LastPrice.objects.create(
        instrument=instrument, last_price=price, previous_close="100", source="stream",
        traded_at=AT - timedelta(hours=1), stored_at=AT - timedelta(minutes=30),
    )  # fmt: skip


class TestQuotes:
    @pytest.mark.parametrize("source", ["stream", "rest"])
    def test_the_board_answers_with_its_source_and_age(self, shares, source):
        mirror.mirror().load(board(source=source).snapshot(at_ms=clock.to_ms(AT)))
        view = selectors.quotes([ACME], AT)[ACME]
        assert (str(view.last_price), str(view.change), str(view.change_percent)) == (
            "102.0000", "2.0000", "2.00"
        )  # fmt: skip
        assert (view.source, view.age_ms, view.bid_quantity) == (source, 10, 7)

    def test_a_board_whose_engine_is_gone_is_a_cache(self, shares):
        mirror.mirror().load(board().snapshot(at_ms=clock.to_ms(AT)))
        view = selectors.quotes([ACME], AT + timedelta(seconds=11))[ACME]
        assert (view.source, view.age_ms) == ("cache", 11_010)

    def test_the_database_is_the_end_of_the_chain(self, shares):
        keep(shares[1], "55.50")
        mirror.mirror().load(board().snapshot(at_ms=clock.to_ms(AT)))
        found = selectors.quotes([NOTHING, BETA, ACME], AT)
        assert list(found) == [BETA, ACME]  # in the order asked, unknown ones left out
        assert (str(found[BETA].last_price), found[BETA].source, found[BETA].age_ms) == (
            "55.5000", "database", 1_800_000
        )  # fmt: skip

    def test_without_a_hub_the_engines_snapshot_in_redis_is_read(self, shares):
        now = clock.now()
        snapshot = board(at=now).snapshot(at_ms=clock.to_ms(now))
        store.client().set(store.key("board"), msgspec.msgpack.encode(snapshot), ex=10)
        assert str(selectors.quotes([ACME], now)[ACME].last_price) == "102.0000"


class TestLists:
    def test_movers_come_from_the_board_or_from_the_database(self, shares):
        keep(shares[1], "55.50")
        losers = selectors.movers(kind="losers", at=AT)
        assert [(one.instrument.symbol, one.quote.source) for one in losers] == [
            ("BETA", "database")
        ]
        mirror.mirror().load(board().snapshot(at_ms=clock.to_ms(AT)))
        gainers = selectors.movers(kind="gainers", at=AT)
        assert [one.instrument.symbol for one in gainers] == ["ACME"]
        assert selectors.breadth().advances == 1
        assert [sector.name for sector in selectors.sectors(at=AT)] == ["IT"]

    def test_search_matches_symbol_name_and_isin(self, shares):
        for text in ("acm", "Acme lim", "ineacme"):
            assert [one.symbol for one in selectors.instruments(search=text)] == ["ACME"]
        assert selectors.instrument_by_symbol("acme").key == ACME
        with pytest.raises(selectors.UnknownInstrument):
            selectors.instrument_by_symbol("NONE")


class TestStatus:
    def test_a_dead_engine_is_said_to_be_one(self, settings):
        settings.MARKET_HOURS = "always"
        selectors.forget()
        found = selectors.market_status(at=AT)
        assert (found["status"], found["phases"]["NSE_EQ"]) == ("disconnected", "CONTINUOUS")

    def test_outside_hours_it_is_closed_and_says_when_it_opens(self, settings):
        settings.MARKET_HOURS = "nse"
        selectors.forget()
        found = selectors.market_status(at=datetime(2026, 11, 21, 5, tzinfo=UTC))
        assert found["status"] == "closed"
        assert found["next_open"] == "2026-11-23T03:45:00+00:00"
        assert "Mon 23 Nov, 09:15" in found["message"]
