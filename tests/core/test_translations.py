"""The Hindi catalogue is whole, and its placeholders are the source's."""

import re
from pathlib import Path

import pytest
from django.test import Client
from django.utils import translation
from django.utils.translation import gettext

from mockmarket.core import refusals, words
from mockmarket.core.refusal_texts import TEXTS

FOLDER = Path(__file__).parents[2] / "locale" / "hi" / "LC_MESSAGES"
ENTRY = re.compile(r'msgid ((?:".*"\n)+)(?:msgid_plural (?:".*"\n)+)?((?:msgstr.*\n(?:".*"\n)*)+)')
NAMED = re.compile(r"%\(\w+\)[sd]|\{\w+\}")


@pytest.mark.parametrize(("name", "least"), [("django", 900), ("djangojs", 14)])
def test_every_message_is_translated_with_its_placeholders(name: str, least: int) -> None:
    catalogue = (FOLDER / f"{name}.po").read_text()
    entries = ENTRY.findall(catalogue)[1:]  # the first is the header
    assert len(entries) >= least
    for source, translated in entries:
        texts = "".join(re.findall(r'"(.*)"', translated))
        assert texts, source
        assert set(NAMED.findall(texts)) == set(NAMED.findall(source)), source
    assert "#, fuzzy" not in catalogue


def test_the_compiled_catalogue_is_used() -> None:
    with translation.override("hi"):
        assert gettext("Portfolio") == "पोर्टफ़ोलियो"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Prices of TCS move in steps of ₹0.1.", "TCS के भाव ₹0.1 के क़दमों में चलते हैं।"),
        ("The lower trigger must lie below ₹100.00.", "निचला ट्रिगर ₹100.00 से नीचे होना चाहिए।"),
        ("Say why.", "कारण बताएँ।"),
        ("Nobody ever said this.", "Nobody ever said this."),
        ("", ""),
    ],
)
def test_a_refusal_is_said_in_the_language_of_the_page(message: str, expected: str) -> None:
    assert refusals.said(message) == message
    with translation.override("hi"):
        assert refusals.said(message) == expected


def test_every_refusal_finds_its_own_text() -> None:
    """No text hides another that is as general."""
    with translation.override("hi"):
        for text in TEXTS:
            filled = text.format(*"ABCD")
            assert refusals.said(filled) == gettext(text).format(*"ABCD"), text


@pytest.mark.django_db
def test_the_modules_words_are_a_script_that_caches(client: Client) -> None:
    with translation.override("hi"):
        address = words.url()
    assert words.url() == ""
    response = client.get(address)
    assert response["Content-Type"].startswith("text/javascript")
    assert "immutable" in response["Cache-Control"]
    assert "घोषणा" in response.content.decode() or "\\u0918" in response.content.decode()
    assert "record by_owner" in response.content.decode()
    assert client.get("/words/xx/abc.js").status_code == 404
