"""How long a refused sign-in takes says nothing about whether the name exists (S5).

Measured in the processor time of this process, as Argon2 works in threads of its own: the time of
day would measure what else runs.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.hashers import make_password
from django.test import Client

from mockmarket.core.models import User

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900), pytest.mark.django_db]
TRIES = 15
GAP_MAX = 0.10


@pytest.fixture(autouse=True)
def real_hashing(settings: Any) -> None:
    """The product's own hasher: the quick one of the tests takes no time that could differ."""
    settings.PASSWORD_HASHERS = settings.PASSWORD_HASHERS[1:]


def page(name: str) -> int:
    form = {"username": name, "password": "guess"}
    return Client(REMOTE_ADDR=address(name)).post("/login/", form).status_code


def api(name: str) -> int:
    body = {"username": name, "password": "guess"}
    return (
        Client(REMOTE_ADDR=address(name))
        .post("/api/v1/auth/token/", body, content_type="application/json")
        .status_code
    )


def address(name: str) -> str:
    """Each name from an address of its own: failures of an address are remembered."""
    number = int(name.rpartition("-")[2])
    return f"10.77.{number // 250}.{number % 250 + 1}"


def gap(sign_in: Callable[[str], int]) -> dict[str, float]:
    """How much longer than for a wrong password it takes, by kind of name; of medians."""
    User.objects.bulk_create(
        [
            User(username=f"known-{number}", password=password, is_active=active)
            for first, password, active in (
                (0, make_password("a long secret"), True),
                (TRIES, make_password(None), True),  # a roster's, before it has chosen one
                (2 * TRIES, make_password("a long secret"), False),
            )
            for number in range(first, first + TRIES)
        ]
    )
    spent: dict[str, list[float]] = {}
    for number in range(TRIES):  # in turn: what else slows the machine down slows all alike
        for kind, name in (
            ("password", f"known-{number}"), ("none", f"known-{TRIES + number}"),
            ("disabled", f"known-{2 * TRIES + number}"), ("name", f"nobody-{3 * TRIES + number}"),
        ):  # fmt: skip
            began = time.process_time()
            assert sign_in(name) == 401
            spent.setdefault(kind, []).append(time.process_time() - began)
    medians = {kind: statistics.median(found[2:]) for kind, found in spent.items()}
    usual = medians.pop("password")
    return {kind: median / usual - 1 for kind, median in medians.items()}


@pytest.mark.parametrize("sign_in", [page, api])
def test_a_wrong_name_takes_as_long_as_a_wrong_password(
    sign_in: Callable[[str], int], settings: Any
) -> None:
    settings.LOGINS_PER_ADDRESS_PER_MINUTE = settings.LOGINS_PER_MINUTE = 10**6
    found = gap(sign_in)
    print({kind: f"{100 * share:+.1f} %" for kind, share in found.items()})  # noqa: T201
    assert max(map(abs, found.values())) <= GAP_MAX


def test_control_a_backend_that_does_not_hash_for_nobody_is_seen(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.LOGINS_PER_ADDRESS_PER_MINUTE = settings.LOGINS_PER_MINUTE = 10**6

    def hasty(self: Any, request: Any, username: str, password: str, **more: Any) -> User | None:
        user = User.objects.filter(username=username).first()
        return user if user and user.check_password(password) else None

    monkeypatch.setattr(ModelBackend, "authenticate", hasty)
    assert gap(page)["name"] < -GAP_MAX
