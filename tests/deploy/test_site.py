"""deploy/'s nginx site in front of two web processes: pages, files, API, socket; kill, roll."""

import json
import re
import signal
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.sync.client import connect

from tests.support import site as support
from tests.support.site import NAME, Site
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(600),
    pytest.mark.skipif(support.nginx_program() is None, reason="no nginx: apt-get install nginx"),
]
RELIANCE = "NSE_EQ|INE002A01018"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with support.running(tmp_path_factory.mktemp("site")) as started:
        yield started


class Students(threading.Thread):
    """Orders and reads without a pause; repeats what failed under the same client order id."""

    def __init__(self, site: Site, user: str) -> None:
        super().__init__(daemon=True)
        self.site, self.client = site, site.session(user)
        self.acknowledged: dict[str, str] = {}
        self.refused_pages: list[int] = []
        self.repeated = self.pages = 0
        self.slowest = 0.0
        self.wrong: list[str] = []
        self._end = threading.Event()

    def run(self) -> None:
        while not self._end.is_set():
            self._order()
            for _ in range(4):  # a contest allows sixty orders a minute
                began = time.monotonic()
                page = self.client.get(f"{self.site.url}/api/v1/market/status/", timeout=30)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.pages += 1
                if page.status_code != 200:
                    self.refused_pages.append(page.status_code)
                time.sleep(0.26)

    def _order(self) -> None:
        mine = f"load-{uuid.uuid4()}"
        order = {
            "instrument_key": RELIANCE, "side": "BUY", "quantity": 1, "order_type": "MARKET",
            "product": "CNC", "validity": "DAY", "client_order_id": mine,
        }  # fmt: skip
        for _ in range(40):
            try:
                answer = self.client.post(f"{self.site.url}/api/v1/orders/", json=order, timeout=30)
            except requests.ConnectionError:
                self.repeated += 1
                continue
            if answer.status_code in {200, 201}:
                self.acknowledged[mine] = answer.json()["id"]
                return
            if answer.status_code in {429, 502, 503, 504}:
                self.repeated += 1
                time.sleep(0.25)
                continue
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
            return
        self.wrong.append("never accepted")

    def stop(self) -> None:
        self._end.set()
        self.join(60)


@pytest.fixture
def load(site: Site) -> Iterator[list[Students]]:
    students = [Students(site, f"student{number:02}") for number in range(21, 26)]
    for student in students:
        student.start()
    eventually(lambda: all(len(student.acknowledged) >= 3 for student in students), seconds=60)
    yield students
    for student in students:
        student.stop()


def prove(site: Site, load: list[Students]) -> None:
    """Every acknowledged order exists once, under the id that was answered; the books prove."""
    for student in load:
        student.stop()
    print(  # noqa: T201 (the figures are the point)
        f"{sum(len(s.acknowledged) for s in load)} orders acknowledged,"
        f" {sum(s.repeated for s in load)} tried again, {sum(s.pages for s in load)} pages,"
        f" {sum(len(s.refused_pages) for s in load)} refused, slowest answer"
        f" {max(s.slowest for s in load):.1f} s"
    )
    for student in load:
        assert not student.wrong
        assert not student.refused_pages
        for mine, answered in list(student.acknowledged.items())[-15:]:
            found = student.client.get(f"{site.url}/api/v1/orders/{answered}/", timeout=30)
            assert found.status_code == 200
            assert found.json()["client_order_id"] == mine
        assert len(set(student.acknowledged.values())) == len(student.acknowledged)
    assert "The books prove" in site.manage("check_ledger")


def test_pages_and_files_come_over_tls(site: Site) -> None:
    client = site.session()
    plain = client.get(f"http://127.0.0.1:{site.http}/login/", allow_redirects=False, timeout=30)
    assert plain.status_code == 301
    assert plain.headers["Location"] == f"https://{NAME}/login/"
    page = client.get(f"{site.url}/login/", timeout=30)
    assert page.status_code == 200
    assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Secure" in page.headers["Set-Cookie"]
    path = re.search(r'href="(/static/[^"]+\.[0-9a-f]{12}\.css)"', page.text)
    assert path, "no hashed stylesheet in the page"
    file = client.get(site.url + path[1], timeout=30)
    assert file.status_code == 200
    assert "immutable" in file.headers["Cache-Control"]
    assert file.headers["Content-Encoding"] == "gzip"


def test_browsers_may_run_every_module_that_is_served(site: Site) -> None:
    """Debian's nginx calls a name that it does not know octet-stream, which `nosniff` forbids."""
    served = json.loads((site.folder / "staticfiles" / "staticfiles.json").read_text())["paths"]
    modules = [path for path in served.values() if Path(path).suffix in {".js", ".mjs"}]
    assert any("lightweight-charts" in path for path in modules)
    client = site.session()
    for path in modules:
        kind = client.head(f"{site.url}/static/{path}", timeout=30).headers["Content-Type"]
        assert kind.split(";")[0] in {"text/javascript", "application/javascript"}, path


def test_no_header_is_said_twice(site: Site) -> None:
    for path in ("/login/", "/static/favicon.svg", "/api/v1/market/status/"):
        headers = site.session().get(site.url + path, timeout=30).raw.headers
        assert [name for name in headers if len(headers.getlist(name)) > 1] == []


def test_a_program_trades_and_streams_through_it(site: Site) -> None:
    client = site.session("student14")
    ticket = client.post(f"{site.url}/api/v1/ws-ticket/", timeout=30).json()["ticket"]
    trusted = ssl.create_default_context(cafile=str(site.certificate))
    with connect(
        f"wss://{NAME}/ws/", sock=_connected(site), ssl=trusted, server_hostname=NAME,
        origin=f"https://{NAME}", open_timeout=30,
    ) as socket:  # fmt: skip
        socket.send(json.dumps({"action": "authenticate", "ticket": ticket}))
        _until(socket, "welcome")
        socket.send(json.dumps({"action": "subscribe", "instruments": [RELIANCE]}))
        assert RELIANCE in _until(socket, "prices_batch")["data"]
        client.post(
            f"{site.url}/api/v1/orders/",
            json={
                "instrument_key": RELIANCE, "side": "BUY", "quantity": 2, "order_type": "MARKET",
                "product": "CNC", "validity": "DAY", "client_order_id": str(uuid.uuid4()),
            },
            timeout=30,
        ).raise_for_status()  # fmt: skip
        assert _until(socket, "trade")["data"]["quantity"] == 2
    assert ticket not in (site.folder / "nginx.access.log").read_text()


def test_a_web_process_killed_under_load_loses_no_order(site: Site, load: list[Students]) -> None:
    site.end("web-1", signal.SIGKILL)
    seen = [len(student.acknowledged) for student in load]
    eventually(
        lambda: all(len(s.acknowledged) >= n + 3 for s, n in zip(load, seen, strict=True)),
        seconds=60,
    )
    site.start_web(1)
    prove(site, load)


def test_a_rolling_restart_under_load_loses_no_order(site: Site, load: list[Students]) -> None:
    for number in (1, 2):
        site.end(f"web-{number}")
        site.start_web(number)  # the next one ends as soon as this one can serve
    prove(site, load)


def _connected(site: Site):
    import socket

    return socket.create_connection(("127.0.0.1", site.https), timeout=30)


def _until(socket, kind: str) -> dict:
    """The next message of a type."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        message = json.loads(socket.recv(timeout=30))
        if message["type"] == kind:
            return message
    raise AssertionError(f"no {kind}")


def test_the_site_file_names_only_what_is_installed() -> None:
    """The snippet that the site includes lies beside it."""
    folder = Path(support.ROOT) / "deploy" / "nginx"
    included = re.findall(
        r"include /etc/nginx/([\w.-]+);", (folder / "mockmarket.conf").read_text()
    )
    assert {"mockmarket-proxy.conf"} == set(included)
    assert (folder / "mockmarket-proxy.conf").exists()
