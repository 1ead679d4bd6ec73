"""What every answer of a production site carries (S8), and whose word about addresses counts."""

import pytest
from django.test import Client, override_settings

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
