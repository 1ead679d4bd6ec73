"""The bus: numbering, the outbox, and silence until the commit."""

import threading
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgpack
import pytest
import redis as redis_errors
from django.conf import settings
from django.db import connection, transaction

from mockmarket.core import bus, redis
from mockmarket.core.models import OutboxEvent, User, UserStream

AT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def _user(name: str) -> User:
    return User.objects.create(username=f"{name}-{uuid.uuid4().hex[:8]}", password="!")


class Listener:
    """Reads a group's channel as a web process would."""

    def __init__(self, group: str) -> None:
        self._pubsub = redis.client().pubsub()
        self._pubsub.subscribe(f"{settings.REDIS_PREFIX}__group__{group}")
        assert self._pubsub.get_message(timeout=5) is not None  # the subscription's receipt

    def messages(self, *, about: User | None = None) -> list[dict[str, Any]]:
        """What arrived; with `about`, the items of its durable events (xdist shares Redis)."""
        found = []
        while (raw := self._pubsub.get_message(timeout=0.2)) is not None:
            found.append(msgpack.unpackb(raw["data"]))
        if about is None:
            return found
        return [
            item
            for message in found
            if message["type"] == "bus.events"
            for item in message["items"]
            if item[0] == about.pk
        ]


@pytest.fixture
def listener() -> Any:
    made = Listener(bus.STREAM_GROUP)
    yield made
    made._pubsub.close()


@pytest.mark.django_db(transaction=True)
class TestPublish:
    def test_sends_after_commit_and_marks_the_outbox(self, listener: Listener) -> None:
        alice = _user("alice")
        with transaction.atomic():
            seq = bus.publish(
                user_id=alice.pk, type="trade", payload={"price": Decimal("101.50")}, at=AT
            )
            assert listener.messages(about=alice) == []
        assert seq == 1
        assert listener.messages(about=alice) == [[alice.pk, 1, "trade", '{"price":101.50}']]
        assert OutboxEvent.objects.get(user=alice).published_at == AT

    def test_sends_nothing_of_a_rolled_back_transaction(self, listener: Listener) -> None:
        alice = _user("alice")
        with transaction.atomic():
            bus.publish(user_id=alice.pk, type="trade", payload={}, at=AT)
            transaction.set_rollback(True)
        assert listener.messages(about=alice) == []
        assert not OutboxEvent.objects.filter(user=alice).exists()

    def test_control_a_send_that_does_not_wait_leaks_the_rollback(self, listener: Listener) -> None:
        alice = _user("alice")
        with transaction.atomic():
            bus._send_events([bus.Event(alice.pk, 1, "trade", "{}")])
            transaction.set_rollback(True)
        assert listener.messages(about=alice) == [[alice.pk, 1, "trade", "{}"]]

    def test_refuses_outside_a_transaction(self) -> None:
        alice = _user("alice")
        with pytest.raises(bus.OutsideTransaction):
            bus.publish(user_id=alice.pk, type="trade", payload={}, at=AT)

    def test_numbers_a_batch_of_many_users(self) -> None:
        alice, bob = _user("alice"), _user("bob")
        with transaction.atomic():
            bus.publish(user_id=bob.pk, type="trade", payload={}, at=AT)
        with transaction.atomic():
            numbers = bus.publish_many(
                [(bob.pk, "a", {}), (alice.pk, "b", {}), (bob.pk, "c", {})], at=AT
            )
        assert numbers == [2, 1, 3]
        assert UserStream.objects.get(user=bob).seq == 3

    def test_refuses_a_payload_that_is_not_data(self) -> None:
        alice = _user("alice")
        with pytest.raises(TypeError), transaction.atomic():
            bus.publish(user_id=alice.pk, type="trade", payload={"x": object()}, at=AT)

    def test_numbers_are_contiguous_under_concurrency(self) -> None:
        alice = _user("alice")
        errors: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(5):
                    with transaction.atomic():
                        bus.publish(user_id=alice.pk, type="trade", payload={}, at=AT)
            except BaseException as error:  # noqa: BLE001 - reported by the test
                errors.append(error)
            finally:
                connection.close()

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        numbers = OutboxEvent.objects.filter(user=alice).order_by("seq")
        assert list(numbers.values_list("seq", flat=True)) == list(range(1, 41))
        assert UserStream.objects.get(user=alice).seq == 40


@pytest.mark.django_db(transaction=True)
class TestRelay:
    def test_publishes_what_redis_missed(
        self, listener: Listener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = _user("alice")
        with monkeypatch.context() as patch:
            patch.setattr(redis, "client", _away)
            before = bus.failures["bus.events"]
            with transaction.atomic():
                bus.publish(user_id=alice.pk, type="trade", payload={"n": 1}, at=AT)
            assert bus.failures["bus.events"] == before + 1
            assert bus.relay_unpublished(at=AT + timedelta(seconds=5)) == 0
        assert bus.relay_unpublished(at=AT) == 0  # left to the committer for a moment
        assert bus.relay_unpublished(at=AT + timedelta(seconds=5)) == 1
        assert bus.relay_unpublished(at=AT + timedelta(seconds=5)) == 0
        assert listener.messages(about=alice) == [[alice.pk, 1, "trade", '{"n":1}']]


def _away() -> Any:
    raise redis_errors.ConnectionError("away")


@pytest.mark.django_db
class TestEventsSince:
    def _publish(self, user: User, count: int) -> None:
        bus.publish_many([(user.pk, "trade", {"n": n}) for n in range(count)], at=AT)

    def test_gives_what_was_missed_in_order(self) -> None:
        alice = _user("alice")
        self._publish(alice, 5)
        epoch, newest = bus.position(alice.pk)
        assert newest == 5
        events = bus.events_since(alice.pk, epoch, 3)
        assert events is not None
        assert [(event.seq, event.payload) for event in events] == [(4, '{"n":3}'), (5, '{"n":4}')]
        assert bus.events_since(alice.pk, epoch, 5) == []

    def test_resyncs_on_another_epoch_the_future_a_hole_or_too_many(self) -> None:
        alice = _user("alice")
        self._publish(alice, bus.REPLAY_MAX + 2)
        epoch, newest = bus.position(alice.pk)
        assert bus.events_since(alice.pk, str(uuid.uuid4()), newest) is None
        assert bus.events_since(alice.pk, epoch, newest + 1) is None
        assert bus.events_since(alice.pk, epoch, 1) is None
        assert len(bus.events_since(alice.pk, epoch, 2) or []) == bus.REPLAY_MAX
        OutboxEvent.objects.filter(user=alice, seq=newest - 1).delete()
        assert bus.events_since(alice.pk, epoch, newest - 3) is None

    def test_is_private(self) -> None:
        alice, bob = _user("alice"), _user("bob")
        self._publish(bob, 2)
        epoch, _ = bus.position(alice.pk)
        assert bus.events_since(alice.pk, epoch, 0) == []

    def test_prune_keeps_what_resume_may_ask_for(self) -> None:
        alice = _user("alice")
        self._publish(alice, bus.REPLAY_MAX + 10)
        OutboxEvent.objects.filter(user=alice).update(published_at=AT)
        OutboxEvent.objects.filter(user=alice, seq=1).update(published_at=None)
        bus.prune_outbox()
        epoch, newest = bus.position(alice.pk)
        assert len(bus.events_since(alice.pk, epoch, newest - bus.REPLAY_MAX) or []) == 300
        remaining = OutboxEvent.objects.filter(user=alice)
        assert remaining.count() == bus.REPLAY_MAX + 1  # and the one that was never published


@pytest.mark.django_db(transaction=True)
class TestDoorbells:
    def test_close_sockets_and_live_events_reach_the_stream(self, listener: Listener) -> None:
        alice = _user("alice")
        assert bus.publish_live([(alice.pk, "rank_update", {"rank": 3})])
        assert bus.close_sockets(user_id=alice.pk, reason="password changed")
        live, close = [
            message
            for message in listener.messages()
            if message.get("user_id") == alice.pk
            or any(item[0] == alice.pk for item in message.get("items", []))
        ]
        assert live == {"type": "bus.live", "items": [[alice.pk, "rank_update", '{"rank":3}']]}
        assert (close["code"], close["session_key"]) == (4401, None)

    def test_wake_engine_waits_for_the_commit(self) -> None:
        engine = Listener(bus.ENGINE_GROUP)
        with transaction.atomic():
            bus.wake_engine("contests")
            assert {"type": "wake", "what": "contests"} not in engine.messages()
        assert {"type": "wake", "what": "contests"} in engine.messages()
