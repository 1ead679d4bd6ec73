"""docs/students/trouble.md quotes the product's own messages."""

import re
from pathlib import Path

from django.conf import settings

from mockmarket.core.refusal_texts import TEXTS

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "students" / "trouble.md").read_text()


def told() -> str:
    """Every refusal and every text of the pages; what a value stands for is a …"""
    states = (ROOT / "mockmarket" / "shell.py").read_text()
    templates = states + " ".join(file.read_text() for file in (ROOT / "templates").rglob("*.html"))
    bare = re.sub(r"<[^>]+>|\{%.*?%\}", lambda tag: _marked(tag[0]), templates)
    return re.sub(r"\{\d\}", "…", "\n".join(TEXTS)) + bare.replace("’", "'")


def _marked(tag: str) -> str:
    text = re.match(r"""\{% translate ['"](.*)['"] %\}""", tag)
    return text[1] if text else ""


def test_every_quoted_message_is_said_by_the_product() -> None:
    quoted = re.findall(r"^\| \*([^*]+)\* \|", PAGE, re.MULTILINE)
    assert len(quoted) >= 7
    known = re.sub(r"\s+", " ", told())
    assert [text for text in quoted if text.rstrip(" ….") not in known] == []
