"""Private events end to end: snapshot and events make the truth, whatever the bus loses (T19, T20).

A reader keeps what a page keeps: rows by id, folded from events in order. At the end it must hold
what a fresh snapshot holds.
"""

import random
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from mockmarket.core import bus, clock
from mockmarket.core.models import OutboxEvent, User
from tests.support import stream
from tests.support.stream import WebServer, join

pytestmark = pytest.mark.django_db(transaction=True)
web = stream.web

Rows = dict[int, dict[str, Any]]
DURABLE = ["order_update", "trade", "alert", "announcement"]
LIVE = ["portfolio_update", "rank_update"]


def change(rows: Rows, user: User, type: str, number: int) -> None:
    """Change the truth and tell it, in one transaction."""
    row = {"id": number % 5, "portfolio_id": number % 5, "version": number}
    with transaction.atomic():
        bus.publish(user_id=user.pk, type=type, payload=row, at=clock.now())
    rows[row["id"]] = row


def fold(rows: Rows, frame: dict[str, Any]) -> None:
    """What a page does with an event."""
    rows[frame["data"]["id"]] = frame["data"]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lose a share of what is sent on the bus, as pub/sub does without a word."""
    real, chance = bus.send, random.Random(7)

    def start(share: float) -> None:
        monkeypatch.setattr(
            bus, "send", lambda *args: True if chance.random() < share else real(*args)
        )

    return start


class TestSnapshotAndEvents:
    @pytest.mark.parametrize("share", [0.0, 0.1])
    @pytest.mark.parametrize("type", DURABLE)
    def test_equal_a_fresh_snapshot(
        self, web: WebServer, losing: Callable[[float], None], type: str, share: float
    ) -> None:
        truth: Rows = {}
        alice = stream.user()
        for number in range(5):
            change(truth, alice, type, number)
        page = {id: dict(row) for id, row in truth.items()}  # rendered with the snapshot
        with join(web, alice) as client:
            losing(share)
            for number in range(5, 35):
                change(truth, alice, type, number)
            numbers: list[int] = []
            while not numbers or numbers[-1] < 35:
                frame = client.wait(type, seconds=9)
                numbers.append(frame["seq"])
                fold(page, frame)
            assert numbers == list(range(6, 36))
            assert page == truth

    def test_control_without_numbers_a_lossy_bus_leaves_the_page_wrong(
        self, web: WebServer, losing: Callable[[float], None]
    ) -> None:
        truth: Rows = {}
        alice = stream.user()
        page: Rows = {}
        with join(web, alice) as client:
            losing(0.5)
            for number in range(20):
                row = {"id": number, "portfolio_id": number, "version": number}
                bus.publish_live([(alice.pk, "order_update", row)])
                truth[number] = row
            for frame in client.drain(1):
                if frame["type"] == "order_update":
                    fold(page, frame)
        assert page != truth

    @pytest.mark.parametrize("type", LIVE)
    def test_live_state_converges_with_the_next_snapshot(
        self, web: WebServer, losing: Callable[[float], None], type: str
    ) -> None:
        """The engine says the whole state each second, so a lost one is healed by the next."""
        alice = stream.user()
        truth: Rows = {}
        page: Rows = {}
        with join(web, alice) as client:
            losing(0.1)
            for number in range(30):
                row = {"id": number % 3, "portfolio_id": number % 3, "version": number}
                truth[row["id"]] = row
                bus.publish_live([(alice.pk, type, row) for row in truth.values()])
            losing(0.0)
            bus.publish_live([(alice.pk, type, row) for row in truth.values()])
            while page != truth:
                fold(page, client.wait(type))

    def test_resume_after_an_absence_converges(self, web: WebServer) -> None:
        truth: Rows = {}
        page: Rows = {}
        alice = stream.user()
        with join(web, alice) as client:
            epoch = client.seen[0]["epoch"]
        for number in range(40):
            change(truth, alice, "order_update", number)
        with join(web, alice) as client:
            client.send("resume", epoch=epoch, seq=0)
            change(truth, alice, "order_update", 40)  # races with the replay
            for seq in range(1, 42):
                frame = client.wait("order_update")
                assert frame["seq"] == seq
                fold(page, frame)
        assert page == truth


class TestOutbox:
    def test_two_relays_and_overtaking_publishers_deliver_once_in_order(
        self, web: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = stream.user()
        with join(web, alice) as client:
            with monkeypatch.context() as patch:
                patch.setattr(bus, "send", lambda *_: False)  # Redis is away
                for number in range(60):
                    change({}, alice, "trade", number)
            assert OutboxEvent.objects.filter(user=alice, published_at=None).count() == 60
            later = clock.now() + timedelta(seconds=5)

            def relay() -> None:
                try:
                    bus.relay_unpublished(at=later, limit=25)
                    bus.relay_unpublished(at=later, limit=25)
                finally:
                    connection.close()

            relays = [threading.Thread(target=relay) for _ in range(2)]
            for thread in relays:
                thread.start()
            for thread in relays:
                thread.join()
            change({}, alice, "trade", 60)
            assert [client.wait("trade")["seq"] for _ in range(61)] == list(range(1, 62))
            assert trades(client.drain()) == []

    def test_events_that_arrive_backwards_go_out_in_order(self, web: WebServer) -> None:
        alice = stream.user()
        with join(web, alice) as client:
            for seq in (5, 4, 2, 3, 3, 1):
                bus._send_events([bus.Event(alice.pk, seq, "trade", "{}")])
            assert [client.wait("trade")["seq"] for _ in range(5)] == [1, 2, 3, 4, 5]
            assert trades(client.drain()) == []

    def test_nobody_hears_another_users_events(self, web: WebServer) -> None:
        alice, bob = stream.user("alice"), stream.user("bob")
        with join(web, alice) as client, join(web, bob) as other:
            bus.publish_live([(bob.pk, "portfolio_update", {"portfolio_id": 1})])
            change({}, bob, "trade", 1)
            epoch = other.seen[0]["epoch"]
            client.send("resume", epoch=epoch, seq=0)
            assert client.wait("resync")["seq"] == 0
            assert other.wait("trade")
            assert trades(client.drain()) == []


def trades(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [frame for frame in frames if frame["type"] in {"trade", "portfolio_update"}]
