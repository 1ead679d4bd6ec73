"""Ceilings of a user: the pure rules, and the same rules inside Redis."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
from django.conf import settings
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from marketdata.stream.quota import Allowance, Bucket, Quota, Rules, lease_key
from mockmarket.core import redis

RULES = Rules(instruments_max=5, sockets_max=2, changes_per_minute=10)
NAMES = [f"K{number}" for number in range(9)]


class TestAllowance:
    @given(st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.sampled_from(NAMES)))))
    def test_holds_the_ceiling_whatever_is_asked(self, asked: list[tuple[str, list[str]]]) -> None:
        allowance = Allowance(RULES)
        now = 0.0
        for socket, wanted in asked:
            now += 60
            distinct = list(dict.fromkeys(wanted))
            decision = allowance.change(socket, distinct, now=now)
            held = {name for names in allowance.sockets.values() for name in names}
            assert decision.count == len(held) <= RULES.instruments_max
            assert sorted(decision.accepted + decision.rejected) == sorted(distinct)
            assert set(decision.accepted) == set(allowance.sockets[socket])
            assert not decision.rejected or len(held) == RULES.instruments_max

    def test_the_bucket_defers_and_refills(self) -> None:
        allowance = Allowance(RULES)
        waits = [allowance.change("a", ["K1"], now=0.0).retry_after for _ in range(11)]
        assert waits == [0.0] * 10 + [6.0]
        assert allowance.change("a", [], now=5.0).retry_after == pytest.approx(1.0)
        decision = allowance.change("a", [], now=6.0)
        assert (decision.retry_after, decision.count) == (0.0, 0)

    def test_sockets_are_counted(self) -> None:
        allowance = Allowance(RULES)
        assert [allowance.connect(name) for name in "abc"] == [True, True, False]
        allowance.release("a")
        assert allowance.connect("c")


@given(st.lists(st.floats(0, 100), max_size=80))
def test_a_bucket_never_gives_more_than_its_rate(gaps: list[float]) -> None:
    bucket = Bucket(10.0, 0.0)
    now, taken = 0.0, 0
    for gap in gaps:
        now += gap
        taken += bucket.take(size=10, refill_seconds=6.0, now=now) == 0.0
        assert taken <= 10 + now / 6.0 + 1e-6


class TestRedis:
    @pytest.fixture
    async def quotas(self) -> AsyncIterator[tuple[Quota, Quota]]:
        client = redis.async_client()
        quotas = [
            Quota(rules=RULES, client=client, process_id=uuid.uuid4().hex, now=lambda: 0.0)
            for _ in range(2)
        ]
        for quota in quotas:
            await client.set(lease_key(quota.process_id), b"", px=15_000)
        yield quotas[0], quotas[1]
        await client.aclose()

    async def test_counts_over_processes_like_the_pure_rules(
        self, quotas: tuple[Quota, Quota]
    ) -> None:
        one, two = quotas
        user_id = uuid.uuid4().int % 10**9
        model = Allowance(RULES)
        steps: list[tuple[Quota, str, list[str]]] = [
            (one, "a", NAMES[:3]),
            (two, "b", NAMES[2:7]),
            (one, "a", NAMES[:1]),
            (two, "b", NAMES[2:8]),
            (two, "b", []),
            (one, "a", NAMES),
        ]
        assert await one.connect(user_id=user_id, socket_id="a")
        assert await two.connect(user_id=user_id, socket_id="b")
        assert not await one.connect(user_id=user_id, socket_id="c")
        for quota, socket_id, wanted in steps:
            decision = await quota.change(user_id=user_id, socket_id=socket_id, wanted=wanted)
            assert decision == model.change(socket_id, wanted, now=0.0)

    async def test_the_eleventh_change_waits(self, quotas: tuple[Quota, Quota]) -> None:
        one, two = quotas
        user_id = uuid.uuid4().int % 10**9
        for n in range(10):
            decision = await (one, two)[n % 2].change(
                user_id=user_id, socket_id="a", wanted=NAMES[:n]
            )
            assert not decision.retry_after
        decision = await two.change(user_id=user_id, socket_id="a", wanted=NAMES)
        assert 5 < decision.retry_after <= 6

    async def test_a_crashed_process_stops_counting(self, quotas: tuple[Quota, Quota]) -> None:
        one, two = quotas
        user_id = uuid.uuid4().int % 10**9
        for name in "ab":
            assert await one.connect(user_id=user_id, socket_id=name)
        await one.change(user_id=user_id, socket_id="a", wanted=NAMES[:5])
        # The control: while the lease stands, the places are taken.
        assert not await two.connect(user_id=user_id, socket_id="c")
        await one._client.delete(lease_key(one.process_id))  # what 15 s without renewal do
        assert await two.connect(user_id=user_id, socket_id="c")
        decision = await two.change(user_id=user_id, socket_id="c", wanted=NAMES[4:9])
        assert decision.rejected == []

    async def test_restores_itself_when_redis_forgot(self, quotas: tuple[Quota, Quota]) -> None:
        one, two = quotas
        user_id = uuid.uuid4().int % 10**9
        await one.connect(user_id=user_id, socket_id="a")
        await one.change(user_id=user_id, socket_id="a", wanted=NAMES[:5])
        await one._client.delete(redis.key("stream", "user", user_id))
        await one.restore()
        await two.connect(user_id=user_id, socket_id="b")
        decision = await two.change(user_id=user_id, socket_id="b", wanted=NAMES[4:6])
        assert (decision.accepted, decision.rejected) == ([NAMES[4]], [NAMES[5]])

    async def test_places_of_hundreds_who_leave_together_are_free(
        self, quotas: tuple[Quota, Quota]
    ) -> None:
        """More than the client has connections. The control: a pool that refuses keeps some."""
        one, two = quotas
        users = [uuid.uuid4().int % 10**9 for _ in range(300)]

        async def come(user_id: int) -> None:
            assert await one.connect(user_id=user_id, socket_id="a")

        async def taken() -> int:
            keys = [redis.key("stream", "user", user_id) for user_id in users]
            return sum([await two._client.hlen(key) for key in keys])

        await asyncio.gather(*map(come, users))
        assert await taken() == 300, "some were counted in one process alone"
        refusing = Redis.from_url(settings.REDIS_URL, max_connections=2)
        waiting, one._client = one._client, refusing
        await asyncio.gather(*(one.release(user_id=user, socket_id="a") for user in users))
        assert await taken() > 0
        one._client = waiting
        await one.settle()
        assert await taken() == 0
        await refusing.aclose()

    async def test_counts_in_this_process_while_redis_is_away(self) -> None:
        away = Redis.from_url("redis://127.0.0.1:1/0")
        quota = Quota(rules=RULES, client=away, process_id="p", now=lambda: 0.0)
        assert [await quota.connect(user_id=1, socket_id=name) for name in "abc"] == [
            True,
            True,
            False,
        ]
        decision = await quota.change(user_id=1, socket_id="a", wanted=NAMES[:6])
        assert decision.rejected == [NAMES[5]]
        await quota.release(user_id=1, socket_id="a")
        assert await quota.connect(user_id=1, socket_id="c")
        await away.aclose()
