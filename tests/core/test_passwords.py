"""A changed password ends every other session and every open socket."""

from typing import Any

import pytest
from django.test import Client

from mockmarket.core import bus
from mockmarket.core.models import User
from tests.support.own_redis import own_redis_keys

__all__ = ["own_redis_keys"]

OLD, NEW = "a long secret", "another long secret"

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return User.objects.create_user("alice", password=OLD)


@pytest.fixture
def closed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What was told to the sockets' processes."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(bus, "close_sockets", lambda **what: told.append(what))
    return told


def browser(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [("wrong", NEW, "current"), (OLD, "short", "new"), (OLD, "12345678901", "new")],
)
def test_a_refusal_stands_beside_its_field(
    alice: User, closed: list[Any], current: str, new: str, field: str
) -> None:
    response = browser(alice).post("/profile/password/", {"current": current, "new": new})
    assert response.status_code == 400
    assert f'id="e-{field}"' in response.content.decode()
    alice.refresh_from_db()
    assert alice.check_password(OLD)
    assert not closed


def test_this_session_goes_on_and_the_others_end(
    alice: User, closed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    here, elsewhere = browser(alice), browser(alice)
    with django_capture_on_commit_callbacks(execute=True):
        response = here.post("/profile/password/", {"current": OLD, "new": NEW})
    assert response.status_code == 200
    assert closed == [{"user_id": alice.pk, "reason": "password changed"}]
    assert here.get("/profile/").status_code == 200
    assert elsewhere.get("/profile/").status_code == 302


def test_guessing_it_is_throttled(alice: User, closed: list[Any]) -> None:
    client = browser(alice)
    statuses = set()
    for _ in range(30):
        response = client.post("/profile/password/", {"current": "guess", "new": NEW})
        statuses.add(response.status_code)
    assert 429 in statuses


def test_staff_who_set_a_password_end_the_sockets(
    alice: User, closed: list[Any], django_capture_on_commit_callbacks: Any
) -> None:
    admin = User.objects.create_superuser("admin", password="x")
    with django_capture_on_commit_callbacks(execute=True):
        response = browser(admin).post(
            f"/admin/core/user/{alice.pk}/password/",
            {"password1": NEW, "password2": NEW, "usable_password": "true"},
        )
    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert closed == [{"user_id": alice.pk, "reason": "account changed"}]
