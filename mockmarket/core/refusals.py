"""What services say in English, in the language of the page.

Services know neither users nor languages: they refuse in English, with the values put in, which
is what programs and the audit log get. Pages find the text that a refusal was made from
(core/refusal_texts.py, written by scripts/refusal_texts.py) and say it in the reader's language.
What is kept for later readers is a record (core/records.py): a code with its values, said here too.
"""

import re
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache

from django.conf import settings
from django.utils import dateformat
from django.utils.translation import get_language, gettext

from mockmarket.core import records
from mockmarket.core.refusal_texts import TEXTS

_PLACE = re.compile(r"\\{\d+\\}")


@cache
def _forms() -> list[tuple[re.Pattern[str], str]]:
    """Patterns of the texts with values, the most exact first."""
    made = [text for text in TEXTS if "{" in text]
    made.sort(key=lambda text: -len(re.sub(r"\{\d+\}", "", text)))
    return [(re.compile(_PLACE.sub("(.*?)", re.escape(text)), re.DOTALL), text) for text in made]


def said(message: str) -> str:
    """A record, or a service's message, in the page's language; as it is where no text fits."""
    if not message:
        return message
    code, values = records.read(message)
    if "message" in values:
        return said(values["message"])
    if code:
        words = {name: _word(name, value) for name, value in records.written(values).items()}
        return gettext(records.TEXTS[code]).format(**words)
    if get_language() in (None, settings.LANGUAGE_CODE):
        return message
    known = gettext(message)
    if known != message:
        return known
    for pattern, text in _forms():
        if found := pattern.fullmatch(message):
            return gettext(text).format(*(value and gettext(value) for value in found.groups()))
    return message


def _word(name: str, value: str) -> str:
    """A value in the page's language: a word, or a day."""
    if name == "day":
        with suppress(ValueError):
            return dateformat.format(
                datetime.strptime(value, records.DAY).replace(tzinfo=UTC), "j M Y"
            )
    return gettext(value)


def all_said(messages: dict[str, str]) -> dict[str, str]:
    """The messages of a refusal by field, in the page's language."""
    return {name: said(message) for name, message in messages.items()}
