"""Headlines: parsed, cleaned, matched; fetched without reaching into the campus network."""

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError

from marketdata import news, safe_fetch, selectors, services
from marketdata.models import Instrument, NewsItem, NewsSource
from marketdata.safe_fetch import FetchError, Forbidden, fetch, public_address
from marketdata.upstox import rest
from mockmarket.core import clock
from tests.support.exchange import exchange

AT = datetime(2026, 11, 20, 5, tzinfo=UTC)
RSS = b"""<?xml version="1.0"?><rss version="2.0"><channel><title>t</title>
<item><title>Reliance Industries &lt;b&gt;rises&lt;/b&gt;</title><guid>1</guid>
<link>https://example.com/1</link><pubDate>Fri, 20 Nov 2026 04:00:00 GMT</pubDate>
<description>&lt;script&gt;alert(1)&lt;/script&gt;TCS &amp;amp; INFY
&lt;img src=x onerror=alert(2)&gt; too</description></item>
<item><title>No link</title><guid>2</guid></item>
<item><title>Bad link</title><guid>3</guid><link>javascript:alert(1)</link></item>
<item><title>From the future</title><guid>4</guid><link>https://example.com/4</link>
<pubDate>Fri, 20 Nov 2099 04:00:00 GMT</pubDate></item>
</channel></rss>"""


class TestParse:
    def test_markup_goes_and_unusable_entries_are_left_out(self):
        found = news.parse(RSS, at=AT)
        assert [one.title for one in found] == ["From the future", "Reliance Industries rises"]
        assert found[1].summary == "TCS & INFY too"
        assert found[0].published_at == AT
        assert found[1].published_at == datetime(2026, 11, 20, 4, tzinfo=UTC)

    @pytest.mark.parametrize("document", [b"", b"<html>no</html>", b"\xff\xfe\x00", b"<rss><item>"])
    def test_a_foreign_document_has_no_entries(self, document):
        assert news.parse(document, at=AT) == []


class TestMentions:
    TERMS = {
        1: news.terms_of(symbol="RELIANCE", name="Reliance Industries Limited"),
        2: news.terms_of(symbol="TCS", name="Tata Consultancy Services Limited"),
        3: news.terms_of(symbol="M&M", name="Mahindra & Mahindra Limited"),
        4: news.terms_of(symbol="IDEA", name="Vodafone Idea Limited"),
    }

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("RELIANCE up", [1]),
            ("Reliance Industries up", [1]),
            ("Tata Consultancy wins a deal", [2]),
            ("tata consultancy wins", [2]),
            ("A good idea", []),
            ("IDEA surges", [4]),
            ("M&M and TCS", [2, 3]),
            ("TCSX", []),
        ],
    )
    def test_symbols_as_written_and_names_in_any_case(self, text, found):
        assert news.mentioned(text=text, terms=self.TERMS) == found


@pytest.mark.django_db
class TestStore:
    def test_a_headline_is_stored_once_with_its_shares(self):
        share = Instrument.objects.create(
            key="NSE_EQ|X", symbol="TCS", name="Tata Consultancy Services Limited",
            exchange="NSE", segment="NSE_EQ", instrument_type="EQ", in_universe=True,
        )  # fmt: skip
        source = NewsSource.objects.create(name="n", url="https://example.com/rss")
        headlines = news.parse(RSS, at=AT)
        assert news.store(source=source, headlines=headlines, at=AT) == 2
        assert news.store(source=source, headlines=headlines, at=AT) == 0
        assert [item.title for item in news.items(instrument=share)] == [
            "Reliance Industries rises"
        ]

    def test_one_bad_source_harms_no_other(self, monkeypatch):
        bad = NewsSource.objects.create(name="bad", url="http://127.0.0.1/rss")
        good = NewsSource.objects.create(name="good", url="https://example.com/rss")

        def answer(url, *, headers):
            if url == good.url:
                return safe_fetch.Document(200, RSS, {"etag": "e1"})
            return fetch(url, headers=headers)

        monkeypatch.setattr(news, "fetch", answer)
        assert news.refresh(at=AT) == 2
        bad.refresh_from_db()
        good.refresh_from_db()
        assert "not public" in bad.last_error
        assert (good.last_error, good.etag) == ("", "e1")
        assert NewsItem.objects.count() == 2


@pytest.mark.django_db
class TestPriceSource:
    """Upstox's own news, here of the simulated exchange, over a real socket."""

    def test_its_news_needs_no_internet_and_stands_at_its_shares(self, settings, monkeypatch):
        def offline(url, **_):
            raise AssertionError(f"{url} was called")

        monkeypatch.setattr(news, "fetch", offline)
        services.seed_universe()
        selectors.forget()
        assert news.seed() == 1 + len(news.PRESS)
        assert news.seed() == 0
        with exchange() as server:
            settings.UPSTOX_REST_URL = server.rest_url
            at = clock.now()
            turns = [at + timedelta(seconds=n * news.EVERY_SECONDS) for n in range(10)]
            new = [news.refresh(at=turn) for turn in turns]
            again = news.refresh(at=turns[0])
        assert again == 0
        # In ten turns of sixty shares everybody has had one: about two in three days have news.
        told = Instrument.objects.filter(news__isnull=False).distinct().count()
        assert told > 180
        source = NewsSource.objects.get(kind=NewsSource.Kind.EXCHANGE)
        assert (source.last_error, source.items.count()) == ("", sum(new))
        share = Instrument.objects.get(symbol="TCS")
        assert {share.name in item.title for item in news.items(instrument=share)} == {True}
        # It names a real company, and so must say itself that nothing of it is true.
        assert {item.shown_source for item in news.items()} == {"Simulated newswire"}

    def test_its_failure_is_kept_and_harms_no_other(self, settings, monkeypatch):
        settings.UPSTOX_REST_URL = "http://127.0.0.1:1"
        monkeypatch.setattr(rest.Client, "_pause", lambda *_: None)
        Instrument.objects.create(
            key="NSE_EQ|X", symbol="X", name="X", exchange="NSE", segment="NSE_EQ",
            instrument_type="EQ", in_universe=True,
        )  # fmt: skip
        selectors.forget()
        source = NewsSource.objects.create(name="own", kind=NewsSource.Kind.EXCHANGE)
        good = NewsSource.objects.create(name="good", url="https://example.com/rss")
        monkeypatch.setattr(news, "fetch", lambda url, **_: safe_fetch.Document(200, RSS, {}))
        assert news.refresh(at=AT) == 2
        source.refresh_from_db()
        good.refresh_from_db()
        assert source.last_error == "/v2/news: no connection"
        assert good.last_error == ""
        selectors.forget()

    def test_markup_goes_and_a_link_of_two_shares_is_one_headline(self):
        item = {
            "heading": "<b>Two</b>", "summary": "<script>x</script>deal",
            "article_link": "https://example.com/a", "published_time": 1_795_000_000_000,
        }  # fmt: skip
        bad = {**item, "article_link": "javascript:alert(1)", "published_time": "soon"}
        (one,) = news.from_exchange({"A|1": [item, bad], "B|2": [item]}, at=AT)
        assert (one.title, one.summary, one.keys) == ("Two", "deal", {"A|1", "B|2"})

    def test_a_feed_needs_an_address_and_the_price_source_stands_once(self):
        with pytest.raises(ValidationError):
            NewsSource(name="n").full_clean()
        NewsSource(name="n", kind=NewsSource.Kind.EXCHANGE).full_clean()
        NewsSource.objects.create(name="n", kind=NewsSource.Kind.EXCHANGE)
        with pytest.raises(ValidationError):
            NewsSource(name="m", kind=NewsSource.Kind.EXCHANGE).full_clean()


class TestAddresses:
    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1/", "http://localhost/", "http://10.0.0.7/", "http://192.168.1.1/",
            "http://172.16.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/",
            "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/", "http://0.0.0.0/",
            "http://100.64.0.1/", "http://224.0.0.1/", "http://2130706433/", "http://0x7f.1/",
            "file:///etc/passwd", "ftp://example.com/", "gopher://example.com/",
            "http://user@example.com/", "http://8.8.8.8:22/", "http://8.8.8.8:99999/", "http:///x",
        ],
    )  # fmt: skip
    def test_only_public_web_addresses_are_called(self, url, monkeypatch):
        called = []
        monkeypatch.setattr(
            socket, "create_connection", lambda *args, **_: called.append(args) or _refuse()
        )
        with pytest.raises(FetchError):
            fetch(url)
        assert called == []

    def test_a_name_with_a_private_address_among_public_ones_is_refused(self, monkeypatch):
        answers = [(2, 1, 6, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        with pytest.raises(Forbidden):
            public_address("example.com", 80)


def _refuse():
    raise OSError("refused")


class Handler(http.server.BaseHTTPRequestHandler):
    """A server with bad manners, by path."""

    def do_GET(self):
        if self.path == "/big":
            self.send_response(200)
            self.end_headers()
            self._pour(b"x" * 65_536, 64)
        elif self.path == "/drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self._pour(b"x", 1)
                time.sleep(0.1)
        elif self.path == "/inward":
            self.send_response(302)
            self.send_header("Location", "http://10.0.0.1/secret")
            self.end_headers()
        elif self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
        else:
            self.send_response(200 if self.path == "/" else 404)
            self.end_headers()
            self.wfile.write(self.headers["Host"].encode())

    def _pour(self, part, times):
        try:
            for _ in range(times):
                self.wfile.write(part)
                self.wfile.flush()
        except OSError:
            return

    def log_message(self, *_):
        return


@pytest.fixture
def server(monkeypatch) -> Iterator[str]:
    """A local server that stands for a public one: its name resolves to a checked address."""
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    port = httpd.server_address[1]
    real = safe_fetch.public_address

    def resolve(host: str, wanted: int) -> str:
        return "127.0.0.1" if host == "news.test" else real(host, wanted)

    monkeypatch.setattr(safe_fetch, "public_address", resolve)
    monkeypatch.setattr(safe_fetch, "PORTS", {"http": port})
    yield "http://news.test"
    httpd.shutdown()


class TestFetch:
    def test_it_names_the_host_but_calls_the_checked_address(self, server):
        assert fetch(f"{server}/").body.startswith(b"news.test")

    @pytest.mark.parametrize("path", ["/big", "/loop", "/missing"])
    def test_too_large_endless_or_missing_is_an_error(self, server, path):
        with pytest.raises(FetchError):
            fetch(f"{server}{path}")

    def test_a_redirect_inward_is_refused(self, server):
        with pytest.raises(Forbidden):
            fetch(f"{server}/inward")

    def test_a_dripping_server_cannot_outlast_the_deadline(self, server):
        began = time.monotonic()
        with pytest.raises(FetchError):
            fetch(f"{server}/drip", seconds=1.0)
        assert time.monotonic() - began < 3.0
