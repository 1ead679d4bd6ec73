"""`/ws/` end to end: real servers, real sockets, real Redis; a publisher in the engine's place."""

import contextlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from websockets.exceptions import ConnectionClosed

from mockmarket.core import bus, clock
from mockmarket.core.models import User
from tests.support import stream
from tests.support.stream import Client, Publisher, WebServer, bearer, join

pytestmark = pytest.mark.django_db(transaction=True)
web = stream.web


class TestPrices:
    def test_snapshot_comes_at_once_and_changes_follow(self, web: WebServer) -> None:
        one, two, other = stream.instruments(3)
        publisher = Publisher()
        publisher.tick({one: 101.0, two: 99.0, other: 50.0})
        with join(web, stream.user(), [one, two]) as client:
            snapshot = client.price(one, 101.0)["data"]
            assert set(snapshot) == {one, two}
            assert snapshot[two] | {"timestamp": None} == {
                "last_price": 99.0,
                "change": -1.0,
                "change_percent": -1.0,
                "volume": 10,
                "bid": 98.95,
                "ask": 99.05,
                "timestamp": None,
                "previous_close": 100.0,
                "open": None,
                "high": None,
                "low": None,
                "average_price": None,
                "bid_quantity": 5,
                "ask_quantity": 6,
                "open_interest": None,
                "source": "stream",
            }
            publisher.tick({two: 98.0, other: 51.0})
            update = client.price(two, 98.0)["data"]
            assert set(update) == {two}
            assert "previous_close" not in update[two]
            publisher.tick({two: 98.5}, high=120.0)
            assert client.price(two, 98.5)["data"][two]["high"] == 120.0

    def test_single_updates_and_unsubscribe(self, web: WebServer) -> None:
        one, two = stream.instruments(2)
        publisher = Publisher()
        with join(web, stream.user(), [one, two]) as client:
            client.send("options", updates="single")
            assert client.wait("options_confirmed")["updates"] == "single"
            publisher.tick({one: 102.0})
            update = client.wait("price_update")
            assert (update["instrument_key"], update["data"]["last_price"]) == (one, 102.0)
            client.send("unsubscribe", instruments=[one, "unknown"])
            answer = client.wait("unsubscription_confirmed")
            assert (answer["instruments"], answer["count"]) == ([one], 1)
            publisher.tick({one: 103.0, two: 104.0})
            assert client.wait("price_update")["instrument_key"] == two
            assert client.drain() == []

    def test_symbol_and_market_form(self, web: WebServer) -> None:
        (key,) = stream.instruments(1)
        with join(web, stream.user()) as client:
            client.send("subscribe", symbol="share0", market="india_nse")
            assert client.wait("subscription_confirmed")["instruments"] == [key]
            client.send("subscribe", symbol="SHARE0", market="india_bse")
            rejected = client.wait("subscription_confirmed")["rejected"]
            assert [item["code"] for item in rejected] == ["unknown_instrument"]
            client.send("unsubscribe", symbol="SHARE0", market="india_nse")
            assert client.wait("unsubscription_confirmed")["count"] == 0

    def test_set_replaces_and_unsubscribe_all_empties(self, web: WebServer) -> None:
        keys = stream.instruments(4)
        with join(web, stream.user(), keys[:2]) as client:
            client.send("set", instruments=keys[1:])
            assert client.wait("subscription_confirmed")["count"] == 3
            Publisher().tick(dict.fromkeys(keys, 105.0))
            assert set(client.price(keys[1], 105.0)["data"]) == set(keys[1:])
            client.send("unsubscribe_all")
            answer = client.wait("unsubscription_confirmed")
            assert (set(answer["instruments"]), answer["count"]) == (set(keys[1:]), 0)

    def test_depth_of_a_focused_instrument(self, web: WebServer) -> None:
        one, two = stream.instruments(2)
        publisher = Publisher()
        publisher.tick({one: 100.0, two: 100.0})
        with join(web, stream.user()) as client:
            client.send("depth", instrument=one)
            assert client.wait("depth_confirmed")["instruments"] == [one]
            publisher.tick({one: 110.0, two: 110.0})
            book = client.wait("depth_update", lambda frame: frame["data"]["bids"][0][0] > 109)
            assert book["instrument_key"] == one
            assert book["data"] == {"bids": [[109.95, 5]], "asks": [[110.05, 6]]}
            client.send("depth", instrument=None)
            assert client.wait("depth_confirmed")["instruments"] == []
            publisher.tick({one: 111.0})
            assert client.drain() == []

    def test_a_book_is_healed_by_the_snapshot(self, web: WebServer) -> None:
        """After a batch that was lost, and after one of an engine that nobody knows yet."""
        one, two = stream.instruments(2)
        publisher = Publisher()
        publisher.tick({one: 100.0, two: 100.0})
        with join(web, stream.user()) as client:
            client.send("depth", instrument=one)
            client.wait("depth_update", best_bid(99.95))
            _lose_a_batch(publisher, {one: 102.0})
            publisher.tick({two: 103.0})
            client.wait("depth_update", best_bid(101.95))
            Publisher().tick({one: 104.0})
            client.wait("depth_update", best_bid(103.95))

    def test_a_book_that_nobody_followed_is_not_remembered(self, web: WebServer) -> None:
        (key,) = stream.instruments(1)
        publisher = Publisher()
        publisher.tick({key: 100.0})
        with join(web, stream.user(), [key]) as client:
            client.send("depth", instrument=key)
            client.wait("depth_update", best_bid(99.95))
            publisher.tick({key: 101.0})
            client.wait("depth_update", best_bid(100.95))
            client.send("depth", instrument=None)
            client.wait("depth_confirmed")
            publisher.tick({key: 105.0})
            client.price(key, 105.0)
            client.send("depth", instrument=key)
            assert client.wait("depth_update")["data"]["bids"] == [[104.95, 5]]

    def test_topics_reach_their_holders_only(self, web: WebServer) -> None:
        message = {"type": "stream.topic", "event": "chain_update", "json": '{"n":1}'}
        with join(web, stream.user()) as client, join(web, stream.user()) as other:
            client.send("topics", topics=["chain|A"])
            assert client.wait("topics_confirmed")["topics"] == ["chain|A"]
            bus.send(bus.STREAM_GROUP, {**message, "topic": "chain|A"})
            bus.send(bus.STREAM_GROUP, {**message, "topic": "chain|B"})
            update = client.wait("chain_update")
            assert (update["topic"], update["data"]) == ("chain|A", {"n": 1})
            assert client.drain() == []
            assert [frame for frame in other.drain(0.1) if frame["type"] == "chain_update"] == []

    def test_status_is_told_on_change(self, web: WebServer) -> None:
        publisher = Publisher()
        with join(web, stream.user()) as client:
            for word in ("closed", "live"):
                publisher.status(word)
                told = client.wait("status")
                while told["status"] != word:
                    told = client.wait("status")
                assert told["phase"]

    def test_a_missed_batch_is_healed_by_the_snapshot(self, web: WebServer) -> None:
        one, two = stream.instruments(2)
        publisher = Publisher()
        publisher.tick({one: 100.0, two: 100.0})
        with join(web, stream.user(), [one, two]) as client:
            client.price(one, 100.0)
            publisher.board.merge([])
            publisher.tick({one: 101.0})
            client.price(one, 101.0)
            _lose_a_batch(publisher, {one: 102.0})
            publisher.tick({two: 103.0})
            assert client.price(one, 102.0, seconds=5)

    def test_a_restarted_engine_renumbers_its_rows(self, web: WebServer) -> None:
        one, two = stream.instruments(2)
        Publisher().tick({one: 100.0, two: 90.0})
        with join(web, stream.user(), [one, two]) as client:
            client.price(two, 90.0)
            Publisher().tick({two: 91.0, one: 101.0})
            frame = client.wait("prices_batch", lambda f: one in f["data"])
            assert frame["data"][one]["last_price"] == 101.0


def best_bid(price: float) -> Callable[[stream.Frame], bool]:
    """Whether a book's best bid is `price`."""
    return lambda frame: bool(frame["data"]["bids"][0][0] == price)


def _lose_a_batch(publisher: Publisher, prices: dict[str, float]) -> None:
    real, bus.send = bus.send, lambda *_: True
    try:
        publisher.tick(prices)
    finally:
        bus.send = real


class TestLimits:
    def test_the_101st_instrument_is_rejected_by_name(self, web: WebServer) -> None:
        keys = stream.instruments(103)
        alice = stream.user()
        with join(web, alice, keys[:60]) as first, join(web, alice) as second:
            second.send("subscribe", instruments=keys[50:102])
            answer = second.wait("subscription_confirmed")
            assert (answer["count"], answer["limit"]) == (100, 100)
            assert [item["instrument"] for item in answer["rejected"]] == keys[100:102]
            assert answer["instruments"] == keys[50:100]
            first.socket.close()
            third = join(web, alice)
            third.send("subscribe", instruments=keys[100:103])
            assert third.wait("subscription_confirmed")["rejected"] == []

    def test_changes_above_the_bucket_are_deferred_not_lost(self, web: WebServer) -> None:
        keys = stream.instruments(12)
        with join(web, stream.user()) as client:
            for key in keys[:10]:
                client.send("subscribe", instruments=[key])
                client.wait("subscription_confirmed")
            client.send("subscribe", instruments=[keys[10]])
            deferred = client.wait("subscription_deferred")
            assert 0 < deferred["retry_after"] <= 6
            client.send("subscribe", instruments=[keys[11]])
            client.wait("subscription_deferred")
            answer = client.wait("subscription_confirmed", seconds=8)
            assert (answer["instruments"], answer["count"]) == (keys, 12)

    def test_a_sixth_socket_is_refused_and_a_closed_one_makes_room(self, web: WebServer) -> None:
        alice = stream.user()
        clients = [join(web, alice) for _ in range(5)]
        with Client(web.url, additional_headers=bearer(alice)) as sixth:
            assert sixth.close_code() == 4429
        clients.pop().socket.close()

        def joins() -> bool:
            with join(web, alice):
                return True

        from tests.support.waiting import eventually

        assert eventually(joins, seconds=5)
        for client in clients:
            client.socket.close()

    def test_flood_closes_4429(self, web: WebServer) -> None:
        with join(web, stream.user()) as client:
            began = clock.monotonic()
            # The server closes while we still talk: `send` itself may meet the close.
            with contextlib.suppress(ConnectionClosed):
                for number in range(5_000):
                    client.send("ping", id=number)
            took = clock.monotonic() - began
            assert client.close_code() == 4429
            pongs = [frame["id"] for frame in client.seen if frame["type"] == "pong"]
            assert pongs == list(range(len(pongs)))
            assert 20 <= len(pongs) <= 20 + 20 * took + 1, f"{len(pongs)} answers in {took:.2f} s"

    def test_five_strikes_close_4400(self, web: WebServer) -> None:
        with join(web, stream.user()) as client:
            for bad in ("{", "[1]", '{"action":"fly"}', '{"action":"set"}'):
                client.raw(bad)
            codes = [client.wait("error")["code"] for _ in range(4)]
            assert codes == ["malformed_json", "not_an_object", "unknown_action", "invalid_message"]
            client.send("ping")
            client.wait("pong")
            client.raw(b"\xff")
            assert client.close_code() == 4400

    def test_oversized_frames_are_refused(self, web: WebServer) -> None:
        with join(web, stream.user()) as client:
            client.raw(" " * 65_537)
            assert client.close_code() == 1009


class TestPrivateEvents:
    def test_arrive_in_order_and_privately(self, web: WebServer) -> None:
        alice, bob = stream.user("alice"), stream.user("bob")
        with join(web, alice) as client, join(web, alice) as tab, join(web, bob) as other:
            for number in range(3):
                _publish(alice, number)
            for reader in (client, tab):
                events = [reader.wait("trade") for _ in range(3)]
                assert [(event["seq"], event["data"]["n"]) for event in events] == [
                    (1, 0),
                    (2, 1),
                    (3, 2),
                ]
            assert [frame for frame in other.drain() if frame["type"] == "trade"] == []

    def test_resume_replays_what_was_missed(self, web: WebServer) -> None:
        alice = stream.user()
        with join(web, alice) as client:
            welcome = client.seen[0]
            _publish(alice, 0)
            client.wait("trade")
        for number in range(1, 4):
            _publish(alice, number)
        with join(web, alice) as client:
            assert client.seen[0]["seq"] == 4
            client.send("resume", epoch=welcome["epoch"], seq=1)
            assert [client.wait("trade")["seq"] for _ in range(3)] == [2, 3, 4]
            client.send("resume", epoch="another", seq=1)
            assert client.wait("resync")["seq"] == 4

    def test_events_that_the_bus_lost_are_found(
        self, web: WebServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alice = stream.user()
        with join(web, alice) as client:
            with monkeypatch.context() as patch:
                patch.setattr(bus, "send", lambda *_: False)
                _publish(alice, 0)
                _publish(alice, 1)
            assert [client.wait("trade", seconds=8)["seq"] for _ in range(2)] == [1, 2]
            # One published after a lost one waits for it, and both come in order.
            with monkeypatch.context() as patch:
                patch.setattr(bus, "send", lambda *_: False)
                _publish(alice, 2)
            _publish(alice, 3)
            started = clock.monotonic()
            assert [client.wait("trade")["seq"] for _ in range(2)] == [3, 4]
            assert clock.monotonic() - started < 3
            bus.relay_unpublished(at=clock.now() + timedelta(seconds=5))
            assert [frame for frame in client.drain() if frame["type"] == "trade"] == []

    def test_live_events_carry_the_present_number(self, web: WebServer) -> None:
        alice = stream.user()
        _publish(alice, 0)
        with join(web, alice) as client:
            items: list[tuple[int, str, dict[str, Any]]] = [
                (alice.pk, "portfolio_update", {"portfolio_id": number, "equity": 1.5})
                for number in (1, 2)
            ]
            bus.publish_live(items)
            updates = [client.wait("portfolio_update") for _ in range(2)]
            assert {update["data"]["portfolio_id"] for update in updates} == {1, 2}
            assert [(update["seq"], update["live"]) for update in updates] == [(1, True)] * 2
            bus.publish_live([(bus.EVERYBODY, "rank_update", {"contest": "a", "rank": 1})])
            assert client.wait("rank_update")["data"]["rank"] == 1
        with join(web, alice) as later, join(web, alice) as second:
            bus.publish_live([(alice.pk, "portfolio_update", {"portfolio_id": 1, "equity": 2.5})])
            assert later.wait("portfolio_update")
            assert second.wait("portfolio_update")


def _publish(user: User, number: int) -> None:
    with transaction.atomic():
        bus.publish(user_id=user.pk, type="trade", payload={"n": number}, at=clock.now())
