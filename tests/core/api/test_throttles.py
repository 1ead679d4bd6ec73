"""Limits as a program meets them, with Redis and without."""

import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from mockmarket.core import clock, redis, tokens
from mockmarket.core.models import User
from tests.support.api import client_of, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(settings: Settings) -> APIClient:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 3
    settings.READS_PER_SECOND = 4
    return client_of(student(f"alice-{uuid.uuid4().hex[:8]}"))


@pytest.fixture
def no_redis(settings: Settings) -> Iterator[None]:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis.client.cache_clear()
    yield
    redis.client.cache_clear()


def cancel_unknown(client: APIClient) -> Any:
    return client.delete(f"/api/v1/orders/{uuid.uuid4()}/")


def bot(user: User) -> APIClient:
    """A program with an API token of its own."""
    _, text = tokens.create_token(
        user=user, name="bot", scope="TRADE", expires_at=None, at=clock.now()
    )
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {text}")
    return client


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


def test_control_with_redis_the_same_sign_in_is_judged() -> None:
    body = {"username": f"alice-{uuid.uuid4().hex[:8]}", "password": "x"}
    answer = client_of(None).post("/api/v1/auth/token/", body, format="json")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_credentials")


def test_a_token_has_a_share_and_its_owner_the_rest(settings: Settings) -> None:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 6
    settings.READS_PER_SECOND = 1000
    settings.TOKEN_LIMIT_PERCENT = 50
    alice = student(f"alice-{uuid.uuid4().hex[:8]}")
    bots = [bot(alice) for _ in range(3)]
    assert [cancel_unknown(bots[0]).status_code for _ in range(4)] == [404, 404, 404, 429]
    assert cancel_unknown(client_of(alice)).status_code == 404  # the browser's share is left
    # All of them together stay within the user's limit.
    rest = [cancel_unknown(client).status_code for client in (*bots[1:], *bots)]
    assert rest == [404, 404, 429, 429, 429]
