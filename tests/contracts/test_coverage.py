"""The API does what the pages do: docs/api/coverage.md against both."""

import re
from pathlib import Path

from django.conf import settings

from tests.contracts.test_permissions import operations
from tests.core.test_attacks import pages

PAGE = Path(settings.BASE_DIR) / "docs" / "api" / "coverage.md"


def test_every_page_has_a_row_and_every_operation_a_place() -> None:
    text = PAGE.read_text()
    named = set(re.findall(r"`((?:GET|POST|PATCH|DELETE) [^`]+)`", text))
    assert named == set(operations())
    listed = set(re.findall(r"`([a-z_]+)`", text))
    assert listed == {name for name, _ in pages()}
