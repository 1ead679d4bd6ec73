"""Upstox's official SDK as the simulated exchange's client, its own code untouched but for URLs."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import upstox_client
import websocket
from upstox_client.feeder import market_data_feeder_v3
from upstox_client.rest import ApiException

from tests.support.exchange import HDFC, NIFTY, Running, exchange
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with exchange() as running:
        yield running


def _client(server: Running, token: str = "any") -> upstox_client.ApiClient:  # noqa: S107
    configuration = upstox_client.Configuration()
    configuration.host = configuration.order_host = server.rest_url
    configuration.access_token = token
    return upstox_client.ApiClient(configuration)


@pytest.fixture
def point_at(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The feed's URL is a literal inside the SDK: only the url argument is swapped."""

    def point(server: Running) -> None:
        class App(websocket.WebSocketApp):
            def __init__(self, url: str, *args: Any, **kwargs: Any) -> None:
                super().__init__(server.feed_url, *args, **kwargs)

        monkeypatch.setattr(
            market_data_feeder_v3,
            "websocket",
            SimpleNamespace(WebSocketApp=App, ABNF=websocket.ABNF),
        )

    return point


def _stream(
    client: upstox_client.ApiClient, keys: list[str], mode: str
) -> tuple[Any, list[dict[str, Any]], list[str]]:
    streamer = upstox_client.MarketDataStreamerV3(client, keys, mode)
    messages: list[dict[str, Any]] = []
    errors: list[str] = []
    streamer.on("message", messages.append)
    streamer.on("error", lambda error: errors.append(str(error)))
    streamer.connect()
    return streamer, messages, errors


def test_the_streamer_connects_subscribes_and_decodes(server: Running, point_at: Any) -> None:
    point_at(server)
    streamer, messages, errors = _stream(_client(server), [HDFC, NIFTY], "full")
    try:
        eventually(lambda: len(messages) > 8, seconds=30)
        assert messages[0]["type"] == "market_info"
        assert messages[0]["marketInfo"]["segmentStatus"]["NSE_EQ"] == "NORMAL_OPEN"
        assert "type" not in messages[1]  # initial_feed is the zero value
        feeds = messages[1]["feeds"]
        full = feeds[HDFC]["fullFeed"]["marketFF"]
        assert len(full["marketLevel"]["bidAskQuote"]) == 5
        assert [bar["interval"] for bar in full["marketOHLC"]["ohlc"]] == ["1d", "I1"]
        assert full["ltpc"]["ltp"] > 0
        assert "ltpc" in feeds[NIFTY]["fullFeed"]["indexFF"]
        assert messages[2]["type"] == "live_feed"
        assert feeds[HDFC]["requestMode"] == "full_d5"
    finally:
        streamer.disconnect()
    assert not [error for error in errors if "closed normally" not in error]


def test_the_streamer_changes_modes_and_unsubscribes(server: Running, point_at: Any) -> None:
    point_at(server)
    streamer, messages, _ = _stream(_client(server), [HDFC], "ltpc")
    try:
        eventually(lambda: len(messages) > 2, seconds=30)
        assert "ltpc" in messages[1]["feeds"][HDFC]
        streamer.change_mode([HDFC], "full_d30")
        eventually(
            lambda: any(
                len(
                    message.get("feeds", {})
                    .get(HDFC, {})
                    .get("fullFeed", {})
                    .get("marketFF", {})
                    .get("marketLevel", {})
                    .get("bidAskQuote", [])
                )
                == 30
                for message in list(messages)
            ),
            seconds=30,
        )
        streamer.unsubscribe([HDFC])
        eventually(
            lambda: all(HDFC not in held.modes for held in server.feed.connections), seconds=30
        )
    finally:
        streamer.disconnect()


def test_the_streamer_gives_up_on_a_bad_token(point_at: Any) -> None:
    with exchange(token="right") as guarded:
        point_at(guarded)
        _, messages, errors = _stream(_client(guarded, "wrong"), [HDFC], "full")
        eventually(lambda: any("401 Unauthorized" in error for error in errors), seconds=30)
        threading.Event().wait(0.5)
        assert not messages
        assert len(errors) == 1


def test_authorise_gives_an_address_that_works_once(server: Running) -> None:
    answer = upstox_client.WebsocketApi(_client(server)).get_market_data_feed_authorize_v3()
    url = answer.data.authorized_redirect_uri
    first = websocket.create_connection(url)
    assert first.recv()
    first.close()
    with pytest.raises(websocket.WebSocketBadStatusException):
        websocket.create_connection(url)


def test_quotes_of_all_three_kinds(server: Running) -> None:
    client = _client(server)
    keys = f"{HDFC},{NIFTY}"
    ltp = upstox_client.MarketQuoteV3Api(client).get_ltp(instrument_key=keys).data
    assert ltp["NSE_EQ:HDFCBANK"].instrument_token == HDFC
    assert ltp["NSE_EQ:HDFCBANK"].last_price > 0
    ohlc = upstox_client.MarketQuoteV3Api(client).get_market_quote_ohlc("1d", instrument_key=keys)
    assert ohlc.data["NSE_EQ:HDFCBANK"].prev_ohlc is None
    assert ohlc.data["NSE_EQ:HDFCBANK"].live_ohlc.high >= ltp["NSE_EQ:HDFCBANK"].cp * 0.9
    full = upstox_client.MarketQuoteApi(client).get_full_market_quote(keys, "2.0").data
    quote = full["NSE_EQ:HDFCBANK"]
    assert len(quote.depth.buy) == len(quote.depth.sell) == 5
    assert quote.depth.buy[0].price < quote.depth.sell[0].price
    assert quote.ohlc.low <= quote.last_price <= quote.ohlc.high
    assert full["NSE_INDEX:NIFTY"].depth.buy[0].quantity == 0


def test_candles(server: Running) -> None:
    api = upstox_client.HistoryV3Api(_client(server))
    today = datetime.now(UTC).astimezone(UTC).date()
    past = api.get_historical_candle_data1(
        HDFC, "days", "1", str(today), str(today - timedelta(days=10))
    ).data.candles
    assert 9 <= len(past) <= 11
    assert past[0][0] > past[-1][0]
    assert all(row[3] <= min(row[1], row[4]) <= max(row[1], row[4]) <= row[2] for row in past)
    minutes = api.get_historical_candle_data1(
        HDFC, "minutes", "30", str(today - timedelta(days=1)), str(today - timedelta(days=1))
    ).data.candles
    assert len(minutes) == 48
    intraday = api.get_intra_day_candle_data(HDFC, "minutes", "1").data.candles
    assert intraday[0][0].endswith("+05:30")


def test_market_status_and_calendar(server: Running) -> None:
    api = upstox_client.MarketHolidaysAndTimingsApi(_client(server))
    assert api.get_market_status("NSE").data.status == "NORMAL_OPEN"
    assert {row.exchange for row in api.get_exchange_timings("2026-11-20").data} >= {"NSE"}
    assert api.get_holiday("2026-11-20").data == []


def test_errors_come_in_upstox_envelope(server: Running) -> None:
    with exchange(token="right") as guarded, pytest.raises(ApiException) as caught:
        upstox_client.MarketQuoteV3Api(_client(guarded, "wrong")).get_ltp(instrument_key=HDFC)
    assert caught.value.status == 401
    assert b"UDAPI100050" in caught.value.body
    with pytest.raises(ApiException) as caught:
        upstox_client.HistoryV3Api(_client(server)).get_historical_candle_data1(
            HDFC, "minutes", "1", "2026-11-20", "2026-01-01"
        )
    assert (caught.value.status, b"UDAPI1148" in caught.value.body) == (400, True)
