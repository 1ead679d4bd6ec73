"""Faults on request, limits, login and news of the simulated exchange, over real sockets."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import upstox_client

from marketdata.exchange.envelope import Refusal
from marketdata.exchange.faults import KINDS, RateLimits
from marketdata.upstox import feed as feeds
from marketdata.upstox.feed import Feed
from marketdata.upstox.wire import Frame
from tests.support.exchange import HDFC, NIFTY, Running, exchange
from tests.support.waiting import eventually

BEARER = {"Authorization": "Bearer any"}


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with exchange() as running:
        yield running


@pytest.fixture(autouse=True)
def _calm(server: Running) -> Iterator[None]:
    yield
    requests.delete(f"{server.rest_url}/simulator/faults", timeout=10)


def start(server: Running, kind: str, seconds: float = 60.0) -> Any:
    return requests.post(
        f"{server.rest_url}/simulator/faults",
        data=json.dumps({"kind": kind, "seconds": seconds}),
        timeout=10,
    ).json()


def ltp(server: Running) -> requests.Response:
    return requests.get(
        f"{server.rest_url}/v3/market-quote/ltp",
        params={"instrument_key": HDFC},
        headers=BEARER,
        timeout=10,
    )


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("rate_limit", 429, "UDAPI10005"),
        ("server_error", 500, "UDAPI100500"),
        ("token_expiry", 401, "UDAPI100050"),
    ],
)
def test_rest_fails_while_the_fault_lasts(
    server: Running, kind: str, status: int, code: str
) -> None:
    assert ltp(server).status_code == 200
    assert start(server, kind)["data"]["seconds_left"].keys() == {kind}
    answer = ltp(server)
    assert (answer.status_code, answer.json()["errors"][0]["errorCode"]) == (status, code)
    requests.delete(f"{server.rest_url}/simulator/faults", timeout=10)
    assert ltp(server).status_code == 200


def test_a_fault_ends_by_itself(server: Running) -> None:
    start(server, "server_error", 0.5)
    eventually(lambda: ltp(server).status_code == 200)


def test_an_order_that_is_no_fault_is_refused(server: Running) -> None:
    assert start(server, "earthquake")["errors"][0]["errorCode"] == "UDAPI100036"
    assert start(server, "stall", -1)["errors"][0]["errorCode"] == "UDAPI100038"
    assert "drop" in KINDS


def test_a_feed_lives_through_each_fault(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "RETRY_SECONDS_MAX", 1.5)
    frames: list[Frame] = []
    states: list[tuple[str, str]] = []
    bad: list[str] = []
    feed = Feed(
        url=server.feed_url,
        token="any",
        on_frame=frames.append,
        on_state=lambda state, reason: states.append((state, reason)),
        on_bad=bad.append,
        silence_seconds=1.0,
    )
    feed.subscribe([HDFC, NIFTY], "full")
    feed.start()
    eventually(lambda: len(frames) > 5, seconds=20)
    start(server, "drop")
    eventually(lambda: any("1011" in reason for _, reason in states), seconds=20)
    eventually(lambda: states[-1][0] == "connected", seconds=40)
    start(server, "half_open")
    held = set(server.feed.connections)
    eventually(lambda: any("silent" in reason for _, reason in states), seconds=20)
    eventually(lambda: server.feed.connections - held, seconds=20)  # a new one, which hears
    count = len(frames)
    eventually(lambda: len(frames) > count + 5, seconds=20)
    states.clear()
    start(server, "garbage", 5)
    eventually(lambda: bad, seconds=20)
    requests.delete(f"{server.rest_url}/simulator/faults", timeout=10)
    start(server, "stall", 3)
    eventually(lambda: any("silent" in reason for _, reason in states), seconds=20)
    start(server, "refuse", 60)
    start(server, "drop")
    eventually(lambda: any("503" in reason for _, reason in states), seconds=30)
    requests.delete(f"{server.rest_url}/simulator/faults", timeout=10)
    count = len(frames)
    eventually(lambda: len(frames) > count + 5, seconds=60)
    feed.stop()


def test_limits_are_exact() -> None:
    limits = RateLimits()
    for _ in range(50):
        limits.check("a", now_ms=1_000)
    with pytest.raises(Refusal):
        limits.check("a", now_ms=1_999)
    limits.check("b", now_ms=1_999)
    limits.check("a", now_ms=2_000)


def test_limits_and_connections_are_kept_when_asked() -> None:
    with exchange(rate_limits=True, connections_max=1) as guarded:
        answers = [ltp(guarded).status_code for _ in range(60)]
        assert answers[:50].count(200) == 50 or 429 in answers
        first = Feed(
            url=guarded.feed_url,
            token="any",
            on_frame=lambda frame: None,
            on_state=lambda state, reason: None,
        )
        first.start()
        eventually(lambda: len(guarded.feed.connections) == 1, seconds=20)
        seen: list[str] = []
        second = Feed(
            url=guarded.feed_url,
            token="any",
            on_frame=lambda frame: None,
            on_state=lambda state, reason: seen.append(reason),
            should_retry=lambda: False,
        )
        second.start()
        eventually(lambda: any("403" in reason for reason in seen), seconds=20)
        first.stop()
        second.stop()


def test_login_gives_a_code_that_buys_one_token(server: Running) -> None:
    answer = requests.get(
        f"{server.rest_url}/v2/login/authorization/dialog",
        params={
            "response_type": "code",
            "client_id": "campus",
            "redirect_uri": "https://campus.example/back",
            "state": "xyz",
        },
        allow_redirects=False,
        timeout=10,
    )
    assert answer.status_code == 302
    query = parse_qs(urlsplit(answer.headers["location"]).query)
    assert query["state"] == ["xyz"]
    configuration = upstox_client.Configuration()
    configuration.host = server.rest_url
    api = upstox_client.LoginApi(upstox_client.ApiClient(configuration))
    wanted = {
        "code": query["code"][0],
        "client_id": "campus",
        "client_secret": "secret",
        "redirect_uri": "https://campus.example/back",
        "grant_type": "authorization_code",
    }
    assert api.token("2.0", **wanted).access_token
    again = requests.post(
        f"{server.rest_url}/v2/login/authorization/token", data=wanted, timeout=10
    )
    assert again.json()["errors"][0]["errorCode"] == "UDAPI100057"


def test_news_and_search(server: Running) -> None:
    news = requests.get(
        f"{server.rest_url}/v2/news",
        params={"category": "instrument_keys", "instrument_keys": HDFC},
        headers=BEARER,
        timeout=10,
    ).json()
    assert news["metadata"]["page"]["total_records"] == len(news["data"][HDFC])
    found = requests.get(
        f"{server.rest_url}/v2/instruments/search",
        params={"query": "hdfcbank", "segments": "NSE_EQ"},
        headers=BEARER,
        timeout=10,
    ).json()
    assert [row["instrument_key"] for row in found["data"]] == [HDFC]
