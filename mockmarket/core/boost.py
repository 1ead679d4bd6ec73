"""Boosted navigation: a page change brings only the new main part, the shell and socket stay."""

from collections.abc import Callable
from typing import cast

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers
from django.views import defaults
from django_htmx.middleware import HtmxDetails

from mockmarket.core.errors import Forbidden, NotFound


def is_boosted(request: HttpRequest) -> bool:
    """Whether only the main part is wanted: a boosted link, or the way back to an earlier page."""
    htmx = cast("HtmxDetails | None", getattr(request, "htmx", None))
    return bool(htmx and (htmx.boosted or htmx.history_restore_request))


class BoostMiddleware:
    """Tells htmx where a boosted answer belongs; shows refusals as pages.

    The addresses of a page and of its main part are the same, so caches must tell them apart.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            patch_vary_headers(response, ["HX-Request", "HX-Boosted"])
            response.setdefault("Cache-Control", "private, no-cache")
            htmx = cast("HtmxDetails | None", getattr(request, "htmx", None))
            if htmx and htmx.boosted and "HX-Redirect" not in response:
                response["HX-Retarget"] = "#main"
                response["HX-Reselect"] = "#main"
                response["HX-Reswap"] = "outerHTML show:window:top"
        return response

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """The pages of what does not exist and of what is not allowed."""
        if isinstance(exception, NotFound):
            return defaults.page_not_found(request, exception)
        if isinstance(exception, Forbidden):
            return defaults.permission_denied(request, exception)
        return None
