"""A Redis that is away costs one caller its time-out, not all of them."""

import time
from collections.abc import Iterator

import pytest
import redis as redis_errors
from pytest_django.fixtures import Settings

from mockmarket.core import redis
from tests.support.proxy import FaultProxy, proxy_to


@pytest.fixture
def line(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultProxy]:
    """The way to Redis; what is late is late soon."""
    monkeypatch.setattr(redis, "ANSWER_SECONDS_MAX", 0.3)
    monkeypatch.setattr(redis, "AWAY_SECONDS", 0.6)
    with proxy_to(settings.REDIS_URL) as proxy:
        settings.REDIS_URL = proxy.through(settings.REDIS_URL)
        redis.client.cache_clear()
        yield proxy
    redis.client.cache_clear()


def asked() -> tuple[bool, float]:
    """Whether Redis answered, and after how many seconds."""
    began = time.monotonic()
    try:
        redis.client().ping()
    except redis_errors.RedisError:
        return False, time.monotonic() - began
    return True, time.monotonic() - began


def test_after_a_time_out_others_are_told_at_once_until_it_is_back(line: FaultProxy) -> None:
    assert asked()[0]
    line.set("half_open")
    answered, seconds = asked()
    assert not answered
    assert seconds >= 0.3
    connections = line.connections
    assert [asked()[0] for _ in range(20)] == [False] * 20
    assert line.connections == connections, "it was asked again"
    line.set("pass")
    time.sleep(0.7)
    assert asked()[0]
    assert asked()[0]


def test_control_an_error_of_redis_itself_is_no_absence(line: FaultProxy) -> None:
    with pytest.raises(redis_errors.ResponseError):
        redis.client().execute_command("NO SUCH COMMAND")
    assert asked()[0]
