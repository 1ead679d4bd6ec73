"""The REST client against a real server: ticks, candles, named errors, patience."""

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from marketdata import universe
from marketdata.upstox import rest
from marketdata.upstox.limiter import Limiter, Window
from tests.support.exchange import HDFC, NIFTY, Running, exchange


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with exchange() as running:
        yield running


def client(url: str, **kwargs: Any) -> rest.Client:
    limiter = Limiter(name=f"test-{uuid.uuid4()}")
    return rest.Client(
        base_url=url, **{"token": "any", "limiter": limiter, "sleep": lambda s: None, **kwargs}
    )


@contextmanager
def answering(*answers: tuple[int, bytes]) -> Iterator[tuple[str, list[Any]]]:
    """A server that gives these answers in turn, the last one for ever, and the requests seen."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers[min(len(seen), len(answers) - 1)]
            seen.append((self.path, dict(self.headers)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()


def refusal(code: str) -> bytes:
    return json.dumps(
        {"status": "error", "errors": [{"errorCode": code, "message": "no"}]}
    ).encode()


GOOD = json.dumps({"status": "success", "data": {}}).encode()


def test_full_quotes_are_ticks(server: Running) -> None:
    ticks = {tick.instrument_key: tick for tick in client(server.rest_url).quotes([HDFC, NIFTY])}
    share, index = ticks[HDFC], ticks[NIFTY]
    assert share.source == "rest"
    assert share.low <= share.last_price <= share.high  # type: ignore[operator]
    assert len(share.bids or ()) == 5
    assert index.bids == ()
    assert share.exchange_ms <= share.received_ms
    assert share.previous_close == pytest.approx(
        client(server.rest_url).ltp([HDFC])[0].previous_close
    )


def test_a_sweep_splits_into_calls_of_500() -> None:
    with answering((200, GOOD)) as (url, seen):
        client(url).quotes([f"NSE_EQ|X{n}" for n in range(1_201)])
    assert [path.count("X") for path, _ in seen] == [500, 500, 201]


def test_the_whole_universe_in_one_call(server: Running) -> None:
    keys = [row.key for row in universe.load()]
    assert {t.instrument_key for t in client(server.rest_url).quotes(keys)} == set(keys)


def test_candles_come_oldest_first(server: Running) -> None:
    api = client(server.rest_url)
    today = datetime.now(UTC).date()
    days = api.candles(
        key=HDFC, unit="days", interval=1, to_date=today, from_date=today - timedelta(days=5)
    )
    assert days == sorted(days, key=lambda row: row.start)
    assert days[0].start.utcoffset() == timedelta(hours=5, minutes=30)
    minutes = api.intraday(key=HDFC)
    assert minutes[-1].low <= minutes[-1].close <= minutes[-1].high


def test_an_invalid_token_is_named_and_not_retried() -> None:
    with (
        answering((401, refusal("UDAPI100050"))) as (url, seen),
        pytest.raises(rest.Unauthorised) as caught,
    ):
        client(url).market_status()
    assert caught.value.code == "UDAPI100050"
    assert len(seen) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_storm_is_outlasted(status: int) -> None:
    pauses: list[float] = []
    with answering((status, refusal("UDAPI10005")), (status, b"<html>"), (200, GOOD)) as (
        url,
        seen,
    ):
        assert client(url, sleep=pauses.append).get("/v2/x") == {}
    assert len(seen) == 3
    assert len(pauses) == 2


@pytest.mark.parametrize(("status", "kind"), [(429, rest.RateLimited), (502, rest.Unavailable)])
def test_a_storm_without_end_is_an_error(status: int, kind: type[Exception]) -> None:
    with answering((status, b"")) as (url, seen), pytest.raises(kind):
        client(url).get("/v2/x")
    assert len(seen) == rest.TRIES_MAX


def test_a_wrong_request_is_refused_once() -> None:
    with (
        answering((400, refusal("UDAPI1087"))) as (url, seen),
        pytest.raises(rest.UpstoxError) as caught,
    ):
        client(url).quotes(["NSE_EQ|NOTHING"])
    assert (caught.value.code, len(seen)) == ("UDAPI1087", 1)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"status": "success"', b'"x"'])
def test_an_answer_that_is_not_upstox_is_an_error(body: bytes) -> None:
    with answering((200, body)) as (url, _), pytest.raises(rest.UpstoxError):
        client(url).get("/v2/x")


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(rest.Unavailable):
        client("http://127.0.0.1:1").get("/v2/x")


def test_an_exhausted_quota_calls_nobody() -> None:
    limiter = Limiter(name=f"test-{uuid.uuid4()}", windows=(Window(1800, 1),))
    with answering((200, GOOD)) as (url, seen):
        api = client(url, limiter=limiter)
        api.get("/v2/x")
        with pytest.raises(rest.RateLimited):
            api.get("/v2/x")
    assert len(seen) == 1


def test_a_redirect_is_not_followed_with_the_token() -> None:
    with answering((302, b"")) as (url, seen), pytest.raises(rest.UpstoxError):
        client(url).get("/v2/x")
    assert len(seen) == 1


def test_calls_name_themselves_and_carry_the_token() -> None:
    with answering((200, GOOD)) as (url, seen):
        client(url, token=lambda: "fresh").get("/v2/x")
    headers = seen[0][1]
    assert headers["User-Agent"] == rest.USER_AGENT
    assert headers["Authorization"] == "Bearer fresh"
