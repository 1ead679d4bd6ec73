"""Drawings of the documentation are what scripts/diagrams.py draws, and name files that exist."""

import re
from pathlib import Path

import pytest
from django.conf import settings

from scripts import diagrams

ROOT = Path(settings.BASE_DIR)
IMAGES = ROOT / "docs" / "images"


@pytest.mark.parametrize("name", diagrams.DRAWINGS)
def test_a_drawing_is_drawn_anew(name: str) -> None:
    drawn = diagrams.DRAWINGS[name]().svg()
    assert (IMAGES / f"{name}.svg").read_text() == drawn, "run python scripts/diagrams.py"


@pytest.mark.parametrize("name", diagrams.DRAWINGS)
def test_modules_in_a_drawing_exist(name: str) -> None:
    named = re.findall(r"[\w/]+\.(?:py|js)\b", (IMAGES / f"{name}.svg").read_text())
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_every_picture_is_shown_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "mkdocs.yml", *(ROOT / "docs").rglob("*.md")]
    text = "".join(page.read_text() for page in pages)
    assert [file.name for file in IMAGES.iterdir() if file.name not in text] == []
