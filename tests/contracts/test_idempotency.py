"""Every POST that creates honours `Idempotency-Key`: walked from the URL configuration."""

from collections.abc import Iterator
from typing import Any

import pytest

from mockmarket.api_urls import version_1
from tests.contracts.test_permissions import ROWS, filled, routes
from tests.contracts.world import OWNER, World, build
from tests.support.api import client_of

pytestmark = pytest.mark.django_db

# Why a POST needs none. A new one belongs here or gets `@idempotent`.
CREATE_NOTHING = {
    "auth/token/": "a repeat is a sign-in of its own; nobody is known yet whose key it would be",
    "auth/token/refresh/": "each refresh token works once",
    "orders/preview/": "computes",
    "baskets/preview/": "computes",
    "options/{key}/margin/": "computes",
    "webhooks/{webhook_id}/": "switches on; twice is as once",
}


def posts() -> Iterator[tuple[str, Any]]:
    for route, view in routes(version_1):
        if hasattr(view, "post"):
            yield route, view.post


CREATING = sorted(route for route, handler in posts() if getattr(handler, "idempotent", False))


def test_every_post_creates_once_or_creates_nothing() -> None:
    assert {route for route, _ in posts()} - set(CREATING) == set(CREATE_NOTHING)
    assert len(CREATING) >= 13


@pytest.fixture
def world(settings: Any) -> World:
    settings.READS_PER_SECOND = settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 10_000
    return build()


@pytest.mark.parametrize("route", CREATING)
def test_a_repeat_gets_the_first_answer_and_another_body_a_422(route: str, world: World) -> None:
    row = ROWS[f"POST {route}"]
    client = client_of(world.users[OWNER])
    url = "/api/v1/" + (route + row.query).format(**world.values)
    body = {name: filled(value, world.values) for name, value in (row.body or {}).items()}

    def post(body: Any) -> Any:
        return client.post(url, body, format="json", headers={"Idempotency-Key": "one"})

    first, again = post(body), post(body)
    assert first.status_code in {200, 201, 204}, first.content
    assert "Idempotency-Replayed" not in first
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again["Idempotency-Replayed"] == "true"
    other = post({**body, "more": "than before"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
