"""Webhooks: signed, retried, logged, and never a way into our own network."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from django.db import transaction

from mockmarket.core import bus, clock, outbound, webhooks
from mockmarket.core.models import User, Webhook, WebhookDelivery

pytestmark = pytest.mark.django_db


class Receiver:
    """A program that takes deliveries on a real port."""

    def __init__(self) -> None:
        self.status = 200
        self.taken: list[tuple[dict[str, str], str]] = []
        self.paths: list[str] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                receiver.taken.append((dict(self.headers), body))
                receiver.paths.append(self.path)
                self.send_response(500 if self.path.endswith("/down") else receiver.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"


@pytest.fixture
def receiver(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_TRUSTED_HOSTS = ["127.0.0.1"]
    found = Receiver()
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def alice() -> User:
    return User.objects.create(username="alice")


def happens(user: User, type_: str) -> None:
    with transaction.atomic():
        bus.publish(user_id=user.pk, type=type_, payload={"id": "x"}, at=clock.now())


def made(user: User, receiver: Receiver) -> Webhook:
    return webhooks.create(
        user=user, url=receiver.url, events=["trade", "order_update"], at=clock.now()
    )


class TestDelivery:
    def test_is_signed_and_logged(self, alice: User, receiver: Receiver) -> None:
        happens(alice, "trade")  # before the webhook: not told
        webhook = made(alice, receiver)
        happens(alice, "trade")
        happens(alice, "announcement")  # not wanted
        assert webhooks.queue(at=clock.now()) == 1
        assert webhooks.queue(at=clock.now()) == 0
        assert webhooks.deliver(at=clock.now()) == 1
        [(headers, body)] = receiver.taken
        expected = webhooks.signature(
            key=webhooks.secret(webhook),
            timestamp=int(headers["X-MockMarket-Timestamp"]),
            body=body,
        )
        assert headers["X-MockMarket-Signature"] == expected
        assert headers["X-MockMarket-Event"] == "trade"
        row = WebhookDelivery.objects.get()
        assert (row.state, row.status, row.attempts) == ("DELIVERED", 200, 1)

    def test_a_changed_body_does_not_verify(self, alice: User, receiver: Receiver) -> None:
        key = webhooks.secret(made(alice, receiver))
        one = webhooks.signature(key=key, timestamp=1, body="a")
        assert one != webhooks.signature(key=key, timestamp=1, body="b")
        assert one != webhooks.signature(key=key, timestamp=2, body="a")

    def test_is_retried_with_growing_pauses_and_given_up(
        self, alice: User, receiver: Receiver
    ) -> None:
        made(alice, receiver)
        happens(alice, "trade")
        at = clock.now()
        webhooks.queue(at=at)
        receiver.status = 500
        for attempt in range(1, webhooks.ATTEMPTS_MAX + 1):
            assert webhooks.deliver(at=at) == 0
            row = WebhookDelivery.objects.get()
            assert row.attempts == attempt
            assert webhooks.deliver(at=at) == 0, "not before its time"
            assert len(receiver.taken) == attempt
            at = row.next_attempt_at
        assert (row.state, row.status) == ("FAILED", 500)

    def test_a_receiver_that_fails_holds_up_nobody(self, alice: User, receiver: Receiver) -> None:
        """One attempt a round at the one that fails; the other's deliveries all go out."""
        bob = User.objects.create(username="bob")
        webhooks.create(user=alice, url=receiver.url + "/down", events=["trade"], at=clock.now())
        made(bob, receiver)
        for _ in range(5):
            happens(alice, "trade")
        for _ in range(3):
            happens(bob, "trade")
        at = clock.now()
        webhooks.queue(at=at)
        assert webhooks.deliver(at=at) == 3
        assert [path for path in receiver.paths if path.endswith("/down")] == ["/hook/down"]
        waiting = WebhookDelivery.objects.filter(state="PENDING")
        assert sorted(waiting.values_list("attempts", flat=True)) == [0, 0, 0, 0, 1]

    def test_redirects_are_not_followed(self, alice: User, receiver: Receiver) -> None:
        made(alice, receiver)
        happens(alice, "trade")
        webhooks.queue(at=clock.now())
        receiver.status = 302
        assert webhooks.deliver(at=clock.now()) == 0
        assert len(receiver.taken) == 1

    def test_a_webhook_that_always_fails_is_switched_off(
        self, alice: User, receiver: Receiver
    ) -> None:
        webhook = made(alice, receiver)
        Webhook.objects.update(failures=webhooks.GIVEN_UP_MAX - 1)
        happens(alice, "trade")
        at = clock.now()
        webhooks.queue(at=at)
        WebhookDelivery.objects.update(attempts=webhooks.ATTEMPTS_MAX - 1)
        receiver.status = 410
        webhooks.deliver(at=at)
        webhook.refresh_from_db()
        assert not webhook.active
        webhooks.resume(webhook=webhook)
        assert webhook.active

    def test_of_a_dead_worker_is_taken_over(self, alice: User, receiver: Receiver) -> None:
        made(alice, receiver)
        happens(alice, "trade")
        at = clock.now()
        webhooks.queue(at=at)
        WebhookDelivery.objects.update(next_attempt_at=at + webhooks.CLAIM, attempts=1)
        assert webhooks.deliver(at=at) == 0
        assert webhooks.deliver(at=at + webhooks.CLAIM + timedelta(seconds=1)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "https://user:pass@example.org/",
        "https://example.org:6379/",
        "https:///path",
        "https://[::1",
        "https://example.org:99999/",
    ],
)
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(outbound.ForbiddenAddress):
        outbound.check(url)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.1.2.3",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 (an address that must be refused)
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[fd00::1]",
        "224.0.0.1",
    ],
)
def test_a_private_network_is_never_called(host: str) -> None:
    with pytest.raises(outbound.ForbiddenAddress):
        outbound.post(url=f"https://{host}/", body=b"{}", headers={})


def test_a_public_name_that_resolves_inward_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolved(*args: Any, **kwargs: Any) -> list[Any]:
        return [(2, 1, 6, "", ("93.184.216.34", 443)), (2, 1, 6, "", ("127.0.0.1", 443))]

    monkeypatch.setattr(outbound.socket, "getaddrinfo", resolved)
    with pytest.raises(outbound.ForbiddenAddress):
        outbound.post(url="https://example.org/", body=b"{}", headers={})


def test_a_name_that_changes_after_the_check_gains_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: the connection goes to the address that was checked."""
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    called: list[tuple[str, int]] = []

    def resolved(*args: Any, **kwargs: Any) -> list[Any]:
        return [(2, 1, 6, "", (next(answers), 443))]

    def connected(address: tuple[str, int], *args: Any, **kwargs: Any) -> None:
        called.append(address)
        raise OSError("nobody is called in a test")

    monkeypatch.setattr(outbound.socket, "getaddrinfo", resolved)
    monkeypatch.setattr(outbound.socket, "create_connection", connected)
    with pytest.raises(OSError, match="nobody is called"):
        outbound.post(url="https://example.org/", body=b"{}", headers={})
    assert called == [("93.184.216.34", 443)]
    # The control: asked again, the name leads inward, and that is refused.
    with pytest.raises(outbound.ForbiddenAddress):
        outbound.post(url="https://example.org/", body=b"{}", headers={})
