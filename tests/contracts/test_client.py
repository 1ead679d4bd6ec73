"""The client package and its examples, against the running product."""

import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from django.conf import settings

from mockmarket.core import webhooks
from tests.support.network import free_port
from tests.support.product import Product, running
from tests.support.waiting import eventually

CLIENT = Path(settings.BASE_DIR) / "client"
sys.path.insert(0, str(CLIENT))

from mockmarket_client import ApiError, AsyncClient, Client, Stream  # noqa: E402
from mockmarket_client.stream import State  # noqa: E402

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    with running("sqlite", ORDERS_PER_MINUTE="10000") as found:
        yield found


@pytest.fixture
def client(product: Product) -> Iterator[Client]:
    with Client(product.url, username="student01", password=product.password) as found:
        yield found


def environment(product: Product, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "MARKET_URL": product.url,
        "MARKET_USERNAME": "student02",
        "MARKET_PASSWORD": product.password,
        "MARKET_CLIENT": str(CLIENT),
        **more,
    }


def run(product: Product, *command: str, **more: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        env=environment(product, **more),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


class TestClient:
    def test_reads_the_market(self, client: Client) -> None:
        [reliance] = [x for x in client.instruments(search="RELIANCE") if x.symbol == "RELIANCE"]
        quote = eventually(lambda: client.quotes([reliance.instrument_key]), seconds=30)[
            reliance.instrument_key
        ]
        assert quote.last_price is not None
        assert quote.last_price > 0
        assert quote.timestamp is not None
        assert quote.timestamp.tzinfo is not None
        assert client.candles(reliance.instrument_key, interval="1m") is not None

    def test_buys_and_hears_of_it_on_the_stream(self, client: Client) -> None:
        [infosys] = [x for x in client.instruments(search="INFY") if x.symbol == "INFY"]
        stream = Stream(client, [infosys.instrument_key])
        heard: list[str] = []
        ready = threading.Event()

        def follow() -> None:
            for event in stream:
                heard.append(event.type)
                if event.type == "prices_batch":
                    ready.set()
                if event.type == "trade":
                    return

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        assert ready.wait(30)
        order = client.place_order(infosys.instrument_key, side="BUY", quantity=1)
        again = client.place_order(
            infosys.instrument_key, side="BUY", quantity=1, client_order_id=order.client_order_id
        )
        assert again.id == order.id
        follower.join(30)
        assert "trade" in heard
        assert eventually(lambda: client.order(order.id).status == "FILLED")
        assert client.portfolio().invested > Decimal(0)
        assert [x.symbol for x in client.positions()] == ["INFY"]

    def test_refusals_are_named(self, client: Client) -> None:
        with pytest.raises(ApiError) as refused:
            client.place_order("NSE_EQ|NOTHING", side="BUY", quantity=1)
        assert refused.value.code == "unknown_instrument"

    def test_watches_prices(self, client: Client) -> None:
        [tcs] = [x for x in client.instruments(search="TCS") if x.symbol == "TCS"]
        last = eventually(
            lambda: client.quotes([tcs.instrument_key])[tcs.instrument_key].last_price
        )
        far = (last * 2).quantize(Decimal(1))
        made = client.place_gtt(tcs.instrument_key, side="BUY", quantity=1, upper=far)
        assert [row.id for row in client.gtts()] == [made.id]
        assert client.cancel_gtt(made.id).status == "CANCELLED"
        alert = client.create_alert(tcs.instrument_key, kind="PRICE_ABOVE", threshold=far)
        assert [row.threshold for row in client.alerts()] == [far]
        client.delete_alert(alert.id)
        assert list(client.alerts()) == []

    def test_renews_an_expired_token(self, client: Client) -> None:
        client.authorization()
        client._token = "mm_expired"
        assert client.portfolio().contest == "practice"

    async def test_asks_the_same_in_asyncio(self, product: Product) -> None:
        async with AsyncClient(
            product.url, username="student03", password=product.password
        ) as client:
            board = await client.leaderboard("practice")
            assert board.me is not None
            assert (await client.portfolio()).cash == Decimal("1000000.00")


class TestExamples:
    def test_ticker(self, product: Product) -> None:
        shown = run(
            product, str(CLIENT / "examples" / "ticker.py"), "RELIANCE", "TCS", TICKER_UPDATES="6"
        )
        assert "RELIANCE" in shown

    def test_moving_average_bot(self, product: Product) -> None:
        shown = run(
            product,
            str(CLIENT / "examples" / "moving_average_bot.py"),
            *("--symbol", "TCS", "--fast", "2", "--slow", "4", "--seconds", "8"),
        )
        assert "orders placed" in shown

    def test_portfolio_notebook(self, product: Product, monkeypatch: pytest.MonkeyPatch) -> None:
        notebook = json.loads((CLIENT / "examples" / "portfolio.ipynb").read_text())
        drawn: list[str] = []
        source = "\n".join(
            "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"
        ).replace("from IPython.display import SVG, display", "")
        for name, value in environment(product).items():
            monkeypatch.setenv(name, value)
        scope: dict[str, Any] = {"SVG": str, "display": drawn.append}
        exec(compile(source, "portfolio.ipynb", "exec"), scope)  # noqa: S102 (our own notebook)
        assert drawn[0].startswith("<svg")


def block(page: str, language: str, holding: str) -> str:
    """The one code block of docs/api/`page` in `language` that contains `holding`."""
    text = (Path(settings.BASE_DIR) / "docs" / "api" / page).read_text()
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    [one] = [textwrap.dedent(code) for _indent, code in found if holding in code]
    return one


class TestDocumentation:
    """What docs/api shows is run, with the product's address, password and token in place."""

    def test_the_first_order(self, product: Product) -> None:
        if shutil.which("curl") is None:
            pytest.skip("no curl")
        command = block("index.md", "bash", "auth/token").replace("…", product.password)
        done = subprocess.run(
            ["bash", "-euc", command.replace("http://127.0.0.1:8000", product.url)],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        decoder, answers, rest = json.JSONDecoder(), [], done.stdout
        while rest:
            answer, end = decoder.raw_decode(rest)
            answers.append(answer)
            rest = rest[end:].lstrip()
        share, order, positions = answers
        assert share["results"][0]["instrument_key"] == order["instrument_key"]
        assert (order["symbol"], order["quantity"]) == ("INFY", 10)
        assert "results" in positions

    def test_the_client(self, product: Product, client: Client) -> None:
        code = block("index.md", "python", "mockmarket_client")
        scope: dict[str, Any] = {}
        exec(  # noqa: S102 (our own documentation)
            code.replace("http://127.0.0.1:8000", product.url).replace("mm_…", token(client)), scope
        )
        assert (scope["order"].symbol, scope["order"].quantity) == ("INFY", 10)

    def test_the_walk_over_pages(self, product: Product, client: Client) -> None:
        scope: dict[str, Any] = {}
        exec(block("guide.md", "python", "yield from"), scope)  # noqa: S102
        address = f"{product.url}/api/v1/instruments/?segment=NSE_INDEX"
        with requests.Session() as session:
            session.headers["Authorization"] = client.authorization()
            whole = list(scope["rows"](session, f"{address}&limit=500"))
            by_two = list(scope["rows"](session, f"{address}&limit=2"))
        assert len(whole) > 2
        assert by_two == whole

    def test_the_retry(self, product: Product, client: Client) -> None:
        pauses: list[float] = []
        scope: dict[str, Any] = {"requests": requests, "time": Pauses(pauses)}
        exec(block("guide.md", "python", "Idempotency-Key"), scope)  # noqa: S102
        body = {"name": "to watch"}
        with requests.Session() as session:
            session.headers["Authorization"] = client.authorization()
            address = f"{product.url}/api/v1/watchlists/"
            first = scope["post"](session, address, body, "docs-1")
            again = scope["post"](session, address, body, "docs-1")
            assert first.status_code == again.status_code == 201
            assert again.content == first.content
            nobody = f"http://127.0.0.1:{free_port()}/"
            with pytest.raises(TimeoutError):
                scope["post"](session, nobody, body, "docs-2", tries=3)
        assert pauses == [1.0, 2.0, 4.0]

    def test_the_check_of_a_signature(self) -> None:
        code = block("guide.md", "python", "hmac.new")
        now = int(time.time())
        given: dict[str, Any] = {
            "hmac": hmac, "time": time, "secret": "whsec_x", "timestamp": str(now), "body": "{}",
            "signature": webhooks.signature(key="whsec_x", timestamp=now, body="{}"),
        }  # fmt: skip
        exec(code, dict(given))  # noqa: S102 (our own documentation)
        for changed in ({"body": "{ }"}, {"timestamp": str(now - 301)}, {"secret": "whsec_y"}):
            with pytest.raises(AssertionError):
                exec(code, {**given, **changed})  # noqa: S102


class Pauses:
    """Takes down how long a program would have slept."""

    def __init__(self, taken: list[float]) -> None:
        self.sleep = taken.append


def token(client: Client) -> str:
    """An API token that may trade."""
    answer = requests.post(
        f"{client.url}/api/v1/tokens/",
        json={"name": "guide", "scope": "TRADE"},
        headers={"Authorization": client.authorization()},
        timeout=10,
    )
    return str(answer.json()["token"])


@pytest.mark.fault  # restarts the product
def test_a_restart_forgets_no_idempotency_key(product: Product) -> None:
    def place(client: Client) -> requests.Response:
        return requests.post(
            f"{product.url}/api/v1/tokens/",
            json={"name": "bot", "scope": "TRADE"},
            headers={"Authorization": client.authorization(), "Idempotency-Key": "a-key"},
            timeout=10,
        )

    with Client(product.url, username="student04", password=product.password) as client:
        first = place(client)
        product.stop()
        product.start()
        again = place(client)
    assert first.status_code == again.status_code == 201
    assert first.content == again.content


class TestState:
    """The stream's memory, without a network."""

    def test_merges_prices_and_skips_what_it_has_seen(self) -> None:
        state = State(["A"])
        state.take('{"type":"welcome","epoch":"e","seq":4}')
        state.take('{"type":"prices_batch","data":{"A":{"last_price":1.0,"volume":5}}}')
        state.take('{"type":"prices_batch","data":{"A":{"last_price":2.0}}}')
        assert state.prices == {"A": {"last_price": 2.0, "volume": 5}}
        assert state.take('{"type":"trade","seq":5,"data":{"id":"x"}}') is not None
        assert state.take('{"type":"trade","seq":5,"data":{"id":"x"}}') is None
        assert state.opening()[1] == {"action": "resume", "epoch": "e", "seq": 5}
