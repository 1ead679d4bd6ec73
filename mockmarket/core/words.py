"""The browser modules' texts in one language, as a script that caches for ever."""

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, cast

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext
from django.views.decorators.http import require_GET
from django.views.i18n import JavaScriptCatalog

from mockmarket.core.records import TEXTS


class Catalogue(JavaScriptCatalog):
    """The words of our own modules, and those of the records that events carry, by their codes."""

    domain = "djangojs"

    def get_catalog(self) -> dict[str, Any]:
        told = {f"record {code}": gettext(text) for code, text in TEXTS.items()}
        return {**super().get_catalog(), **told}


# Not the words of Django's admin.
_catalogue = Catalogue.as_view(packages=["mockmarket.core"])


@cache
def _stamp(language: str) -> str:
    """Names the catalogue's content; empty where a language has none (English is the source)."""
    file = Path(settings.LOCALE_PATHS[0]) / language / "LC_MESSAGES" / "djangojs.mo"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def url() -> str:
    """The address of the current language's words; empty where none are needed."""
    language = translation.get_language() or settings.LANGUAGE_CODE
    stamp = _stamp(language)
    return reverse("words", args=[language, stamp]) if stamp else ""


@require_GET
def words(request: HttpRequest, language: str, stamp: str) -> HttpResponseBase:
    """`django.gettext` with the words of one language."""
    if language not in dict(settings.LANGUAGES) or not _stamp(language):
        raise Http404
    with translation.override(language):
        response = cast("HttpResponse", _catalogue(request))
    response["Cache-Control"] = "public, max-age=31536000, immutable"
    return response
