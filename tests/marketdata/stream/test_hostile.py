"""What a hostile client may send, on both servers (T14, T15, S2)."""

import contextlib
import socket
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support import stream
from tests.support.raw_socket import close_code, dropped, handshake, opened
from tests.support.stream import Client, Publisher, WebServer, bearer, join
from tests.support.waiting import eventually

pytestmark = pytest.mark.django_db(transaction=True)
web = stream.web


class TestHostileClients:
    """T15: whatever bytes come, the answer is a close code within a second and no memory."""

    TEXT, MORE, PING = b"\x01", b"\x00", b"\x89"

    @pytest.mark.parametrize(
        ("attack", "code"),
        [
            ("1 GiB promised", 1009),
            ("endless fragments", 1009),
            ("endless empty fragments", 1009),
            ("pings", 4429),
        ],
    )
    def test_is_closed_with_a_code(self, web: WebServer, attack: str, code: int) -> None:
        begun = self.TEXT + b"\x80" + bytes(4)
        piece = self.MORE + b"\xfe\x04\x00" + bytes(4) + b" " * 1024
        sent = {
            "1 GiB promised": b"\x81\xff" + (1 << 30).to_bytes(8, "big") + bytes(4),
            "endless fragments": begun + piece * 100,
            "endless empty fragments": begun + (self.MORE + b"\x80" + bytes(4)) * 70_000,
            "pings": (self.PING + b"\x80" + bytes(4)) * 1_000,
        }[attack]
        if attack == "endless empty fragments" and web.server == "daphne":
            sent = begun + piece * 100  # Autobahn keeps nothing of an empty fragment
        with socket.create_connection(("127.0.0.1", web.port)) as raw:
            raw.sendall(handshake(web, **bearer(stream.user())))
            begin = opened(raw)
            before = web.rss_kib()
            with contextlib.suppress(OSError):
                raw.sendall(sent)
            # 1002: uvicorn ends the message that it refused before it reads what followed.
            assert close_code(raw, begin) in {code, 0, 1002}
        assert web.rss_kib() - before < 8 * 1024

    def test_pings_that_nobody_reads_the_answers_of_cost_nothing(self, web: WebServer) -> None:
        """Control of the bound: a thousand times what it allows, with full buffers."""
        with socket.create_connection(("127.0.0.1", web.port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.sendall(handshake(web, **bearer(stream.user())))
            raw.settimeout(1)
            before = web.rss_kib()
            with contextlib.suppress(OSError):
                raw.sendall((self.PING + b"\xfd" + bytes(4) + b"x" * 125) * 20_000)
            assert web.rss_kib() - before < 8 * 1024

    def test_slow_handshakes_and_silence_are_dropped_in_ten_seconds(self, web: WebServer) -> None:
        """Slowloris, a head without end, and a socket that never says who it is."""
        with (
            socket.create_connection(("127.0.0.1", web.port)) as dawdler,
            socket.create_connection(("127.0.0.1", web.port)) as bomb,
            Client(web.url) as silent,
        ):
            dawdler.sendall(handshake(web)[:60])
            began = time.monotonic()
            with contextlib.suppress(OSError):
                bomb.sendall(handshake(web)[:-2])
                for _ in range(200):
                    bomb.sendall(b"X-Filler: " + b"x" * 10_000 + b"\r\n")
            assert eventually(lambda: dropped(bomb), seconds=2)
            dawdler.settimeout(12)
            with contextlib.suppress(ConnectionResetError):
                assert not dawdler.recv(100).startswith(b"HTTP/1.1 101")
            assert time.monotonic() - began <= 10
            assert silent.close_code(seconds=14) == 4401

    def test_neighbours_of_a_flood_are_served(self, web: WebServer) -> None:
        """T14: ten thousand changes from one tab do not move another user's prices."""
        keys = stream.instruments(30)
        publisher = Publisher()
        publisher.tick(dict.fromkeys(keys, 100.0))
        with join(web, stream.user("neighbour"), keys) as neighbour:
            for _ in range(20):
                with Client(web.url, additional_headers=bearer(stream.user("flood"))) as flood:
                    with contextlib.suppress(ConnectionClosed):
                        for number in range(500):
                            flood.send("subscribe", instruments=[keys[number % 30]])
                    assert flood.close_code() in {4429, None}
            publisher.tick({keys[0]: 123.0})
            neighbour.price(keys[0], 123.0, seconds=3)

    def test_a_token_in_the_url_opens_nothing_and_is_logged_nowhere(self, web: WebServer) -> None:
        """S2, with canaries in every place where a careless client may put a secret."""
        alice = stream.user()
        token = bearer(alice)["Authorization"].removeprefix("Bearer ")
        with Client(f"{web.url}?token={token}&canary=url-canary-1") as client:
            client.send("subscribe", instruments=["x"])
            assert client.next()["code"] == "not_authenticated"
            client.send("authenticate", ticket="ticket-canary-2")
            assert client.close_code() == 4401
        with Client(web.url, additional_headers={"Authorization": "Bearer mm_canary-3"}) as client:
            assert client.close_code() == 4401
        with pytest.raises(InvalidStatus):
            Client(web.url, additional_headers={"Cookie": "session=canary-4"}, origin="http://a.b")
        log = web.log.read_text()
        assert "canary" not in log
        assert token not in log
