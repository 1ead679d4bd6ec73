"""The guide's list of error codes is the code's."""

import re
from pathlib import Path

from django.conf import settings

from tests.contracts.error_codes import domain_codes, interface_codes

LIST = Path(settings.BASE_DIR) / "docs" / "api" / "errors.md"


def test_every_code_is_listed_with_its_status() -> None:
    text = LIST.read_text()
    rules = dict(re.findall(r"^\| `(\w+)` \| (\d{3}) \|", text, re.MULTILINE))
    assert rules == {code: str(status) for code, (status, _) in domain_codes().items()}
    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) - set(rules)
    assert listed == set(interface_codes())


def test_codes_are_snake_case() -> None:
    assert all(re.fullmatch(r"[a-z][a-z_]*", code) for code in domain_codes())
