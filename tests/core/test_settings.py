"""Every setting is in .env.example and in the documentation, and production passes its checks."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PRODUCTION = {
    "HTTPS": "true",
    "DEBUG": "false",
    "SECRET_KEY": "q7" * 40 + "-not-the-default-and-long-enough-XYZ",
    "ALLOWED_HOSTS": "trade.example.edu",
    "ALLOWED_ORIGINS": "https://trade.example.edu",
    "DATABASE_URL": "postgres://mockmarket:x@127.0.0.1:5432/mockmarket",
    "REDIS_URL": "redis://127.0.0.1:6379/0",
}


def read_by_settings() -> set[str]:
    source = (ROOT / "mockmarket" / "settings.py").read_text()
    return set(re.findall(r'env\.\w+\(\s*"(\w+)"', source))


def test_the_example_file_lists_exactly_the_settings() -> None:
    listed = re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == read_by_settings()


def test_the_documentation_describes_exactly_the_settings() -> None:
    page = (ROOT / "docs" / "operations" / "settings.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE)) == read_by_settings()


def check_deploy(tmp_path: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "VAR_DIR": str(tmp_path),
        **PRODUCTION,
        **changes,
    }
    return subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def test_production_settings_pass_the_deployment_check(tmp_path: Path) -> None:
    result = check_deploy(tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        ({"SECRET_KEY": ""}, "mockmarket.W001"),
        ({"DATABASE_URL": "sqlite:////tmp/x.sqlite3", "WEB_PROCESSES": "2"}, "mockmarket.W002"),
        ({"ALLOWED_ORIGINS": ""}, "mockmarket.W003"),
        ({"REDIS_URL": ""}, "mockmarket.W004"),
        ({"WEB_SERVER": "gunicorn"}, "mockmarket.E001"),
        ({"MARKET_SOURCE": "magic"}, "mockmarket.E002"),
        ({"HTTPS": "false"}, "security.W004"),
    ],
)
def test_control_a_careless_setting_is_found(
    tmp_path: Path, changes: dict[str, str], finding: str
) -> None:
    result = check_deploy(tmp_path, **changes)
    assert result.returncode != 0
    assert finding in result.stderr


STARTED = """
import sys
import django
django.setup()
import trading.management.commands.run_market
print({"daphne", "openpyxl", "twisted.internet.reactor"} & set(sys.modules))
"""


def test_an_engine_starts_without_what_others_need() -> None:
    """They were a third of its start, for which students wait when one has died."""
    started = subprocess.run(
        [sys.executable, "-c", STARTED],
        cwd=ROOT, env={**os.environ, "DJANGO_SETTINGS_MODULE": "mockmarket.settings"},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert started.stdout.strip() == "set()"
