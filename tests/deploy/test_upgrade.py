"""Migrations back and forward on a full campus, timed; the books prove afterwards."""

import time
import uuid
from collections.abc import Iterator

import pytest

from tests.deploy.test_migrations import OURS
from tests.support import campus, services
from tests.support.product import Product

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]

# The oldest state that still holds the same books: what came later only added to it.
OLDEST = {"trading": "0005", "portfolios": "0004", "marketdata": "0002"}


@pytest.fixture
def installation(postgres_url: str, tmp_path) -> Iterator[Product]:
    redis = services.start_redis()
    name = f"mm_upgrade_{uuid.uuid4().hex[:8]}"
    made = Product(
        tmp_path,
        {
            "PATH": "/usr/bin:/bin",
            "VAR_DIR": str(tmp_path),
            "REDIS_URL": redis.url,
            "DATABASE_URL": services.create_database(postgres_url, name),
        },
    )
    yield made
    services.drop_database(postgres_url, name)
    redis.stop()


def test_a_full_campus_goes_back_and_forward(installation: Product) -> None:
    spent: dict[str, float] = {}

    def timed(title: str, *command: str) -> str:
        began = time.monotonic()
        output = installation.manage(*command, timeout=900)
        spent[title] = time.monotonic() - began
        return output

    timed("migrate an empty database", "migrate", "-v", "0")
    timed("seed the market", "seed_market")
    timed("seed practice and 50 students", "seed_demo")
    began = time.monotonic()
    postings = campus.enrol(installation.environment["DATABASE_URL"])
    spent["enrol"] = time.monotonic() - began
    assert postings >= 1_000_000
    assert "The books prove" in timed("prove the books", "check_ledger")
    for app, name in OLDEST.items():
        timed(f"back: {app} to {name}", "migrate", app, name, "-v", "0")
    timed("forward", "migrate", "-v", "0")
    shown = installation.manage("showmigrations", "--plan", *OURS)
    assert "[ ]" not in shown
    assert "The books prove" in timed("prove the books again", "check_ledger")
    for title, seconds in spent.items():
        print(f"{title:<34} {seconds:6.1f} s")  # noqa: T201 - the figures are the point
