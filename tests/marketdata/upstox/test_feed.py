"""The feed client against real sockets: redirect, subscriptions, loss, refusal, TLS."""

import datetime
import ipaddress
import socket
import threading
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marketdata import universe
from marketdata.upstox import feed as feeds
from marketdata.upstox.feed import Feed
from marketdata.upstox.wire import Frame
from tests.support.exchange import HDFC, NIFTY, exchange
from tests.support.network import free_port
from tests.support.waiting import eventually


class Listener:
    """Collects what a feed reports."""

    def __init__(self, url: str, **kwargs) -> None:  # type: ignore[no-untyped-def]
        self.frames: list[Frame] = []
        self.states: list[tuple[str, str]] = []
        self.bad: list[str] = []
        self.feed = Feed(
            url=url,
            token=kwargs.pop("token", "any"),
            on_frame=self.frames.append,
            on_state=lambda state, reason: self.states.append((state, reason)),
            on_bad=self.bad.append,
            **kwargs,
        )

    def __enter__(self) -> "Listener":
        self.feed.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.feed.stop()

    def heard(self) -> set[str]:
        return {tick.instrument_key for frame in list(self.frames) for tick in frame.ticks}

    def names(self) -> list[str]:
        return [state for state, _ in self.states]


def test_market_info_comes_first_then_a_snapshot_then_ticks() -> None:
    with exchange() as server, Listener(server.feed_url) as client:
        client.feed.subscribe([HDFC, NIFTY], "full")
        eventually(lambda: len(client.frames) > 6, seconds=20)
        assert client.frames[0].market_info is not None
        assert client.frames[1].snapshot
        assert {tick.instrument_key for tick in client.frames[1].ticks} == {HDFC, NIFTY}
        assert not client.frames[2].snapshot


def test_subscriptions_made_before_the_start_are_sent() -> None:
    with exchange() as server:
        client = Listener(server.feed_url)
        client.feed.subscribe([HDFC], "ltpc")
        with client:
            eventually(lambda: HDFC in client.heard(), seconds=20)


def test_modes_change_and_keys_leave() -> None:
    with exchange() as server, Listener(server.feed_url) as client:
        client.feed.subscribe([HDFC, NIFTY], "ltpc")
        eventually(lambda: client.heard() == {HDFC, NIFTY}, seconds=20)
        client.feed.change_mode([HDFC], "full")
        client.feed.unsubscribe([NIFTY])
        eventually(
            lambda: [dict(held.modes) for held in server.feed.connections] == [{HDFC: "full"}]
        )
        eventually(lambda: any(t.bids for t in client.frames[-1].ticks))


def test_everything_is_back_within_five_seconds_of_the_exchange() -> None:
    port = free_port()
    keys = [row.key for row in universe.load()]
    with Listener(f"ws://127.0.0.1:{port}/v3/feed/market-data-feed") as client:
        client.feed.subscribe(keys, "full")
        with exchange(port=port):
            eventually(lambda: client.heard() == set(keys), seconds=30)
        eventually(lambda: client.names()[-1] == "disconnected", seconds=20)
        eventually(lambda: client.names().count("connecting") >= 3, seconds=20)
        client.frames.clear()
        with exchange(port=port):
            eventually(lambda: client.heard() == set(keys), seconds=5 + 15)


def test_a_refused_token_stops_without_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    with exchange(token="right") as server, Listener(server.feed_url, token="wrong") as client:
        eventually(lambda: not client.feed._thread.is_alive(), seconds=20)
        assert client.names() == ["connecting", "unauthorised"]
    assert "refused the token" in caplog.text


def test_a_renewed_token_is_asked_for_at_each_attempt() -> None:
    tokens = iter(["right"] * 10)
    with (
        exchange(token="right") as server,
        Listener(server.feed_url, token=lambda: next(tokens)) as client,
    ):
        eventually(lambda: "connected" in client.names(), seconds=20)


def test_silence_is_noticed_and_cut() -> None:
    with exchange() as server, Listener(server.feed_url, silence_seconds=1.0) as client:
        client.feed.subscribe([HDFC], "full")
        eventually(lambda: client.heard() == {HDFC}, seconds=20)
        server.app.faults._until["stall"] = 2**62
        eventually(lambda: any("silent" in why for _, why in client.states), seconds=20)
        server.app.faults._until.clear()
        client.frames.clear()
        eventually(lambda: client.heard() == {HDFC}, seconds=20)


def test_silence_is_no_fault_when_no_frames_are_expected() -> None:
    with exchange() as server, Listener(server.feed_url, silence_seconds=0.5) as client:
        client.feed.expect_frames(False)
        client.feed.subscribe([HDFC], "full")
        eventually(lambda: client.heard() == {HDFC}, seconds=20)
        server.app.faults._until["stall"] = 2**62
        threading.Event().wait(1.5)
        assert "disconnected" not in client.names()


def test_should_retry_ends_the_thread() -> None:
    url = f"ws://127.0.0.1:{free_port()}/v3/feed/market-data-feed"
    with Listener(url, should_retry=lambda: False) as client:
        eventually(lambda: not client.feed._thread.is_alive(), seconds=20)
        assert client.names()[-1] == "disconnected"


def test_a_frame_that_does_not_parse_is_counted_and_survived() -> None:
    with exchange() as server, Listener(server.feed_url) as client:
        server.app.faults._until["garbage"] = 2**62
        client.feed.subscribe([HDFC], "full")
        eventually(lambda: len(client.bad) > 3, seconds=20)
        server.app.faults._until.clear()
        before = len(client.frames)
        eventually(lambda: len(client.frames) > before + 3, seconds=20)
        assert "disconnected" not in client.names()


def test_the_token_is_not_handed_to_the_redirected_address() -> None:
    """The second address gets the single-use code alone (the SDK repeats the token there)."""
    seen: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def serve() -> None:
        for location in (f"ws://127.0.0.1:{port}/second", None):
            connection, _ = listener.accept()
            request = b""
            while b"\r\n\r\n" not in request:
                request += connection.recv(4096)
            seen.append(request)
            if location:
                head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
                connection.sendall(head.encode())
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    with Listener(f"ws://127.0.0.1:{port}/first", token="secret", should_retry=lambda: False):
        eventually(lambda: len(seen) == 2, seconds=20)
    assert b"Bearer secret" in seen[0]
    assert b"secret" not in seen[1]
    listener.close()


def test_a_redirect_may_not_step_down_from_tls() -> None:
    with pytest.raises(feeds.FeedError, match="plain text"):
        feeds._redirect("wss://api.example/x", "ws://other.example/y")


# --- TLS: refused three times, and the control that is accepted -------------------------------
def _certificate(folder: Path, *, name: str, days: int = 30) -> tuple[str, str]:
    """A self-signed certificate for `name` (an address or a host) and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    try:
        alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        alternative = x509.DNSName(name)
    now = datetime.datetime.now(datetime.UTC)
    ends = now + datetime.timedelta(days=days)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - datetime.timedelta(days=60))
        .not_valid_after(ends)
        .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}{days}.pem", folder / f"{name}{days}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(paths[0]), str(paths[1])


@pytest.mark.parametrize(
    ("name", "days", "trusted", "reason"),
    [
        ("127.0.0.1", 30, False, "self-signed"),
        ("wrong.example", 30, True, "mismatch"),
        ("127.0.0.1", -1, True, "expired"),
    ],
)
def test_a_bad_certificate_is_refused(
    tmp_path: Path, name: str, days: int, trusted: bool, reason: str
) -> None:
    certificate = _certificate(tmp_path, name=name, days=days)
    with exchange(certificate=certificate) as server:
        authority = certificate[0] if trusted else None
        with Listener(server.feed_url, ca_file=authority, should_retry=lambda: False) as client:
            eventually(lambda: not client.feed._thread.is_alive(), seconds=20)
            assert "connected" not in client.names()
            assert any("certificate" in why.lower() for _, why in client.states), reason


def test_a_good_certificate_is_accepted(tmp_path: Path) -> None:
    certificate = _certificate(tmp_path, name="127.0.0.1")
    with (
        exchange(certificate=certificate) as server,
        Listener(server.feed_url, ca_file=certificate[0]) as client,
    ):
        client.feed.subscribe([HDFC], "full")
        eventually(lambda: client.heard() == {HDFC}, seconds=20)
