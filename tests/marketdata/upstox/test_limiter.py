"""The shared sliding window: exact over processes, and over the seams of its windows."""

import multiprocessing
import time
import uuid
from typing import Any

import pytest
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from marketdata.upstox.limiter import Limiter, QuotaExhausted, Window
from mockmarket.core import redis as store


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4()}"


def _worker(name: str, prefix: str, url: str, seconds: float, answers: Any) -> None:
    # The limiter needs two settings of Django, not its apps, which take seconds to load.
    settings.REDIS_PREFIX, settings.REDIS_URL = prefix, url
    limiter = Limiter(
        name=name,
        # The last one never refuses; it keeps the calls in Redis for the test to read.
        windows=(Window(1, 20), Window(2, 30), Window(60, 10_000)),
        connection=redis.Redis.from_url(url),
    )
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if limiter.try_acquire() == 0:
            answers.put(time.time())
        time.sleep(0.002)
    answers.put(None)


def test_no_window_ever_holds_more_than_its_limit_over_processes(name: str) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    workers = [
        context.Process(
            target=_worker, args=(name, settings.REDIS_PREFIX, settings.REDIS_URL, 3.2, answers)
        )
        for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    ended = 0
    while ended < len(workers):
        ended += answers.get(timeout=60) is None
    for worker in workers:
        worker.join(20)
    # The server's own clock stamped every call: judge by that, not by ours.
    calls: Any = store.client().zrange(store.key("upstox", "quota", name), 0, -1, withscores=True)
    stamps = [score / 1e6 for _, score in calls]
    assert len(stamps) > 20
    for window in (Window(1, 20), Window(2, 30)):
        for start in stamps:
            inside = sum(start <= stamp < start + window.seconds for stamp in stamps)
            assert inside <= window.calls


def test_without_the_limiter_the_same_load_exceeds_the_limit() -> None:
    """The control: what the test above would see unprotected."""
    calls = [time.time() for _ in range(60)]
    assert sum(calls[0] <= stamp < calls[0] + 1 for stamp in calls) > 20


def test_a_full_window_says_how_long_to_wait(name: str) -> None:
    limiter = Limiter(name=name, windows=(Window(60, 3),))
    assert [limiter.try_acquire() for _ in range(3)] == [0, 0, 0]
    assert 58 < limiter.try_acquire() <= 60
    assert limiter.used() == {60: 3}


def test_acquire_waits_for_room(name: str) -> None:
    limiter = Limiter(name=name, windows=(Window(1, 2),))
    started = time.monotonic()
    for _ in range(4):
        limiter.acquire()
    assert 0.9 < time.monotonic() - started < 5


def test_acquire_gives_up_rather_than_wait_too_long(name: str) -> None:
    limiter = Limiter(name=name, windows=(Window(1800, 1),))
    limiter.acquire()
    with pytest.raises(QuotaExhausted):
        limiter.acquire(timeout_seconds=1)


def test_limits_of_different_apis_do_not_mix(name: str) -> None:
    Limiter(name=name, windows=(Window(60, 1),)).acquire()
    assert Limiter(name=f"{name}-other", windows=(Window(60, 1),)).try_acquire() == 0


def test_without_redis_nothing_is_called_uncounted(name: str) -> None:
    never = Retry(NoBackoff(), 0)
    away = redis.Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=never)
    with pytest.raises(redis.RedisError):
        Limiter(name=name, connection=away).acquire()
