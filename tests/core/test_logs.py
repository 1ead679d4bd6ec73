"""No secret in a log, whatever is asked and whatever goes wrong (S11)."""

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import structlog

from mockmarket.core import logs
from tests.support import stream
from tests.support.stream import WebServer, bearer

CANARY = "canary-7f3a9c"


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {CANARY}",
        f"postgres://mockmarket:{CANARY}@db/mockmarket is away",
        f"redis://:{CANARY}@127.0.0.1:6379/0",
        f"token mm_{CANARY}-{CANARY} of a program",
        f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
        f"GET /callback?code={CANARY}&state=x",
        f"password={CANARY}",
    ],
)
def test_what_looks_like_a_credential_is_hidden_in_text(text: str) -> None:
    assert CANARY not in logs.hide_text(text)


def test_control_other_text_stays() -> None:
    text = f"order {CANARY} of student01 was refused: 404 /api/v1/orders/"
    assert logs.hide_text(text) == text


@pytest.fixture(params=["console", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What a logger of its own writes through the product's formatter."""
    configuration = logs.configuration(level="DEBUG", form=request.param)
    formatter = dict(configuration["formatters"]["structured"])
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("test.secrets")
    logger.addHandler(handler)
    logger.propagate, logger.level = False, logging.DEBUG
    yield output
    logger.removeHandler(handler)


def test_values_are_hidden_by_name_however_deep(written: io.StringIO) -> None:
    log = structlog.get_logger("test.secrets")
    log.info("task", args=[{"access_token": CANARY}], kwargs={"new_password": CANARY}, order="kept")
    logging.getLogger("test.secrets").info("header %s", f"Bearer {CANARY}")
    try:
        raise RuntimeError(f"cannot reach https://user:{CANARY}@example.org")
    except RuntimeError:
        logging.getLogger("test.secrets").exception("failed")
    assert "kept" in written.getvalue()
    assert "RuntimeError" in written.getvalue()
    assert CANARY not in written.getvalue()


@pytest.mark.django_db(transaction=True)
def test_a_server_at_debug_level_logs_none(db: Any) -> None:
    """Canaries in every place where a request carries a secret."""
    alice = stream.user()
    server = WebServer("uvicorn", LOG_LEVEL="DEBUG", METRICS_TOKEN=CANARY)
    try:
        api = f"{server.origin}/api/v1"
        json = {"username": alice.username, "password": CANARY}
        statuses = [
            requests.post(f"{api}/auth/token/", json=json, timeout=10).status_code,
            requests.post(f"{server.origin}/login/", data=json, timeout=10).status_code,
            requests.get(f"{api}/me/?token={CANARY}", timeout=10).status_code,
            requests.get(
                f"{api}/me/", headers={"Authorization": f"Bearer mm_{CANARY}"}, timeout=10
            ).status_code,
            requests.get(f"{api}/me/", cookies={"session": CANARY}, timeout=10).status_code,
            requests.get(f"{api}/me/", headers=bearer(alice), timeout=10).status_code,
            requests.get(f"{server.origin}/profile/", timeout=10).status_code,
        ]
        assert statuses[0] == 401
        assert statuses[5] == 200
    finally:
        server.stop()
    log = server.log.read_text()
    assert "/api/v1/me/" in log, "nothing was logged at all"
    assert CANARY not in log
    assert bearer(alice)["Authorization"].split()[1] not in log
