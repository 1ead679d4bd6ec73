"""Limits as a program meets them, with Redis and without."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from mockmarket.core import redis, throttle
from tests.support.api import client_of, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings: Settings) -> APIClient:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 3
    settings.READS_PER_SECOND = 4
    return client_of(student(f"alice-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def no_redis(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis.client.cache_clear()
    monkeypatch.setattr(throttle, "_redis_retry_at", 0.0)
    yield
    redis.client.cache_clear()


def cancel_unknown(client: APIClient) -> Any:
    return client.delete(f"/api/v1/orders/{uuid.uuid4()}/")


def test_orders_and_reads_are_counted_apart(client: APIClient) -> None:
    assert [cancel_unknown(client).status_code for _ in range(4)] == [404, 404, 404, 429]
    assert [client.get("/api/v1/me/").status_code for _ in range(5)] == [200] * 4 + [429]


def test_a_refusal_says_when_to_come_back(client: APIClient) -> None:
    refused = [cancel_unknown(client) for _ in range(4)][-1]
    assert refused.json()["error"]["code"] == "throttled"
    assert 50 < int(refused["Retry-After"]) <= 60


def test_without_redis_orders_keep_a_limit_and_nobody_signs_in(
    client: APIClient, no_redis: None
) -> None:
    assert [cancel_unknown(client).status_code for _ in range(4)] == [404, 404, 404, 429]
    body = {"username": "alice", "password": "x"}
    answer = client_of(None).post("/api/v1/auth/token/", body, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert answer["Retry-After"] == "5"
