"""What every answer of a production site carries (S8), and whose word about addresses counts."""

import uuid

import pytest
import requests
from django.test import Client, override_settings

from mockmarket.core import redis
from tests.support.stream import WebServer

pytestmark = pytest.mark.django_db

EXPECTED = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/login/", "/api/v1/me/", "/nowhere/", "/admin/login/"])
def test_pages_and_api_carry_the_same_protection(path: str) -> None:
    answer = Client().get(path)
    assert {name: answer.get(name) for name in EXPECTED} == EXPECTED
    assert "Server" not in answer
    assert "X-Powered-By" not in answer


def test_the_policy_runs_no_inline_script_and_allows_no_frame() -> None:
    policy = Client().get("/login/")["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "unsafe-eval" not in policy
    for directive in ("default-src 'self'", "object-src 'none'", "frame-ancestors 'none'"):
        assert directive in policy


def test_over_https_browsers_are_told_to_stay_there() -> None:
    with override_settings(
        SECURE_HSTS_SECONDS=31_536_000,
        SECURE_HSTS_INCLUDE_SUBDOMAINS=True,
        SECURE_SSL_REDIRECT=True,
        SESSION_COOKIE_SECURE=True,
        CSRF_COOKIE_SECURE=True,
    ):
        assert Client().get("/login/").status_code == 301
        answer = Client().get("/login/", secure=True)
    assert "max-age=31536000; includeSubDomains" in answer["Strict-Transport-Security"]
    assert answer.cookies["csrftoken"]["secure"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("trusted", "counted"), [("127.0.0.1", "203.0.113.9"), ("10.9.9.9", "127.0.0.1")]
)
def test_a_forwarded_address_counts_from_a_trusted_proxy_only(trusted: str, counted: str) -> None:
    """S5: sign-ins are counted by the client's address, which only the proxy may state."""
    name = f"nobody-{uuid.uuid4().hex[:8]}"
    server = WebServer("uvicorn", TRUSTED_PROXIES=trusted)
    try:
        requests.post(
            f"{server.origin}/api/v1/auth/token/",
            json={"username": name, "password": "x"},
            headers={"X-Forwarded-For": "203.0.113.9"},
            timeout=10,
        )
    finally:
        server.stop()
    [key] = redis.client().keys(redis.key("throttle", f"login:*:{name}"))
    assert key.decode().endswith(f"login:{counted}:{name}")
