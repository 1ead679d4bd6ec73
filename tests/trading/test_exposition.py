"""Metrics: for whom, and what they say of a silent and of a beating engine."""

import msgspec
import pytest
from django.conf import LazySettings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from mockmarket.core import health, redis
from tests.portfolios.support import AT, user
from trading.exposition import exposition

pytestmark = pytest.mark.django_db

BEAT = {
    "at": AT.isoformat(),
    "lag_ms": 12,
    "ticks": 500,
    "ticks_per_second": 99.5,
    "sockets": 3,
    "rejects": {"not_positive": 2},
    "feed": {"connected": True, "quiet_ms": 40, "connects": 1},
}


@pytest.fixture(autouse=True)
def _no_engine() -> None:
    redis.client().delete(redis.key(*health.ENGINE_HEARTBEAT))


def _samples() -> dict[tuple[str, ...], float]:
    found = {}
    for family in text_string_to_metric_families(exposition(at=AT).decode()):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


class TestExposition:
    def test_of_a_silent_engine_says_that_it_is_down(self) -> None:
        found = _samples()
        assert found["mockmarket_engine_up",] == 0
        assert ("mockmarket_sockets",) not in found
        assert found["mockmarket_check", "database"] == 1

    def test_reads_the_heartbeat(self) -> None:
        redis.client().set(redis.key(*health.ENGINE_HEARTBEAT), msgspec.json.encode(BEAT), ex=5)
        found = _samples()
        assert found["mockmarket_engine_up",] == 1
        assert found["mockmarket_lag_seconds",] == pytest.approx(0.012)
        assert found["mockmarket_ticks_total",] == 500
        assert found["mockmarket_ticks_rejected_total", "not_positive"] == 2
        assert found["mockmarket_feed_connected",] == 1
        assert found["mockmarket_upstox_calls_allowed", "60"] == 500


class TestEndpoint:
    def test_is_not_there_for_students_and_strangers(
        self, client: Client, settings: LazySettings
    ) -> None:
        settings.METRICS_TOKEN = "scrape-me"
        assert client.get("/metrics").status_code == 404
        assert client.get("/metrics", headers={"Authorization": "Bearer no"}).status_code == 404
        client.force_login(user("alice"), backend="django.contrib.auth.backends.ModelBackend")
        assert client.get("/metrics").status_code == 404

    def test_an_empty_token_lets_nobody_in(self, client: Client, settings: LazySettings) -> None:
        settings.METRICS_TOKEN = ""
        assert client.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404

    def test_opens_to_staff_and_to_the_token(self, client: Client, settings: LazySettings) -> None:
        settings.METRICS_TOKEN = "scrape-me"
        answer = client.get("/metrics", headers={"Authorization": "Bearer scrape-me"})
        assert answer.status_code == 200
        assert b"mockmarket_engine_up" in answer.content
        staff = user("staff", is_staff=True)
        client.force_login(staff, backend="django.contrib.auth.backends.ModelBackend")
        assert client.get("/metrics").status_code == 200
