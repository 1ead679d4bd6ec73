"""The operations page: green while nobody is needed, a red line that says what to do when not."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client

from mockmarket.core import clock, redis
from mockmarket.core.models import JobRun, OutboxEvent, User
from tests.support.api import student
from trading import operations

pytestmark = pytest.mark.django_db
ALIVE = {
    "feed": {"connected": True, "quiet_ms": 40, "subscribed": 30},
    "rejects": {"stale": 2},
    "lag_ms": 12,
    "ticks_per_second": 107,
    "batches_per_second": 19.6,
    "frames_dropped": 0,
    "web_processes": 1,
    "sockets": 3,
    "users": 2,
    "watched": 25,
}


@pytest.fixture
def beat() -> Any:
    """Leaves the heartbeats of an engine and a worker, and takes them away."""

    def leave(engine: dict[str, Any] | None) -> None:
        redis.client().set(redis.key("heartbeat", "celery"), b"1", ex=60)
        if engine is None:
            redis.client().delete(redis.key("heartbeat", "engine"))
        else:
            redis.client().set(redis.key("heartbeat", "engine"), msgspec.json.encode(engine), ex=60)

    yield leave
    redis.client().delete(redis.key("heartbeat", "engine"), redis.key("heartbeat", "celery"))


def red() -> list[str]:
    return [line.name for line in operations.red_lines(operations.groups(at=clock.now()))]


def shown(group: str) -> dict[str, str]:
    found = dict(operations.groups(at=clock.now()))
    return {line.name: line.value for line in found[group]}


def test_nothing_is_red_while_all_is_well(beat: Any) -> None:
    beat(ALIVE)
    assert red() == []
    assert shown("Engine")["Ticks a second, in"] == "107"
    assert shown("Feed")["Rejected prices"] == "2 (stale 2)"
    assert shown("Stream") == {
        "Web processes": "1",
        "Sockets": "3",
        "Users connected": "2",
        "Instruments watched": "25",
    }
    assert shown("Feed")["Instruments on the feed"] == "30"


def test_a_silent_engine_is_the_one_red_line(beat: Any) -> None:
    beat(None)
    assert red() == ["Heartbeat"]
    assert shown("Feed")["Connection"] == "not known"
    assert shown("Stream") == {"Sockets": "not known"}


def test_a_lost_feed_and_a_silent_worker_are_red(beat: Any) -> None:
    beat({**ALIVE, "feed": {"connected": False, "reason": "401"}})
    redis.client().delete(redis.key("heartbeat", "celery"))
    assert red() == ["Connection", "Worker and beat"]


def test_jobs_of_the_day_stand_with_their_state(beat: Any) -> None:
    beat(ALIVE)
    at = clock.now()
    JobRun.objects.create(
        job="closing:NSE_EQ", key="2026-11-20", state="DONE", started_at=at, finished_at=at
    )
    JobRun.objects.create(job="backup", key="2026-11-20", state="FAILED", started_at=at)
    JobRun.objects.create(
        job="news", key="n", state="RUNNING", started_at=at - timedelta(minutes=20)
    )
    jobs = shown("Work in the background")
    assert jobs["Closing prices NSE_EQ 2026-11-20"].startswith("done, ")
    assert red() == ["backup"]
    assert jobs["news"] == "running for long"


def test_events_that_nobody_was_told_are_red(beat: Any) -> None:
    beat(ALIVE)
    alice, old = student("alice"), clock.now() - timedelta(minutes=1)
    last = OutboxEvent.objects.count()
    OutboxEvent.objects.bulk_create(
        OutboxEvent(user=alice, seq=last + n, type="trade", payload={}, created_at=old)
        for n in range(1, 102)
    )
    assert red() == ["Events not yet told"]


def test_the_page_renews_itself(beat: Any) -> None:
    beat(None)
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True))
    page = client.get("/operations/").content.decode()
    assert 'hx-trigger="every 3s"' in page
    part = client.get("/operations/?fragment=1").content.decode()
    assert "manage.py run_market" in part
    assert "<html" not in part
