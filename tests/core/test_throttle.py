"""Sliding windows: exact over processes by Redis, in memory without it."""

import multiprocessing
import time
import uuid
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from mockmarket.core import redis, throttle
from mockmarket.core.throttle import Limit, LocalWindows


def taken(*, identity: str, limits: list[Limit], times: int) -> int:
    """How many of `times` requests at once are let through."""
    accepted = 0
    for _ in range(times):
        try:
            throttle.take(bucket="test", identity=identity, limits=limits, when_away="refuse")
        except throttle.Throttled:
            continue
        accepted += 1
    return accepted


def _child(identity: str, counts: "multiprocessing.Queue[int]") -> None:
    redis.client.cache_clear()
    counts.put(taken(identity=identity, limits=[Limit(10, 60), Limit(200, 3600)], times=50))


class TestShared:
    def test_is_exact_over_processes(self) -> None:
        identity = uuid.uuid4().hex
        fork = multiprocessing.get_context("fork")
        counts: multiprocessing.Queue[int] = fork.Queue()
        children = [fork.Process(target=_child, args=(identity, counts)) for _ in range(4)]
        for child in children:
            child.start()
        total = sum(counts.get(timeout=30) for _ in children)
        for child in children:
            child.join(timeout=30)
        assert total == 10

    def test_every_window_counts(self) -> None:
        identity = uuid.uuid4().hex
        limits = [Limit(2, 0.2), Limit(3, 60)]
        assert taken(identity=identity, limits=limits, times=5) == 2
        time.sleep(0.25)
        assert taken(identity=identity, limits=limits, times=5) == 1

    def test_refusals_say_when_to_come_back(self) -> None:
        identity = uuid.uuid4().hex
        limits = [Limit(1, 30)]
        assert taken(identity=identity, limits=limits, times=1) == 1
        with pytest.raises(throttle.Throttled) as refused:
            throttle.take(bucket="test", identity=identity, limits=limits, when_away="refuse")
        assert 29 < refused.value.retry_after <= 30


class TestWithoutRedis:
    @pytest.fixture(autouse=True)
    def _no_redis(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        settings.REDIS_URL = "redis://127.0.0.1:1/0"
        redis.client.cache_clear()
        monkeypatch.setattr(throttle, "_redis_retry_at", 0.0)
        yield
        redis.client.cache_clear()
        monkeypatch.setattr(throttle, "_redis_retry_at", 0.0)

    def test_logins_fail_closed(self) -> None:
        with pytest.raises(throttle.LimiterUnavailable):
            throttle.take_login(username="alice", address="127.0.0.1")

    def test_orders_fall_back_to_a_local_limit(self) -> None:
        identity = uuid.uuid4().hex
        accepted = 0
        for _ in range(30):
            try:
                throttle.take(
                    bucket="orders",
                    identity=identity,
                    limits=[Limit(10, 60)],
                    when_away="local",
                )
            except throttle.Throttled:
                continue
            accepted += 1
        assert accepted == 10


@given(st.lists(st.floats(min_value=0, max_value=5), max_size=60).map(sorted))
def test_local_windows_never_exceed_any_limit(instants: list[float]) -> None:
    limits = [Limit(3, 0.5), Limit(8, 2.0)]
    windows = LocalWindows()
    accepted = [x for x in instants if windows.take(key="k", limits=limits, now=x) == 0.0]
    for limit in limits:
        for start in accepted:
            assert sum(start <= x < start + limit.seconds for x in accepted) <= limit.count
