"""Cursor pages: `{"results": […], "next": url | null, "previous": url | null}`."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any, TypeVar

from django.core.exceptions import ValidationError as FieldValidationError
from django.db.models import Model, QuerySet
from django.utils.encoding import iri_to_uri
from rest_framework import exceptions
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import replace_query_param

M = TypeVar("M", bound=Model)
T = TypeVar("T")

PAGE_SIZE = 50
PAGE_SIZE_MAX = 500


class CursorPages(CursorPagination):
    """DRF's cursor over a query set; a cursor that was not made here is an `invalid_input`."""

    page_size = PAGE_SIZE
    page_size_query_param = "limit"
    max_page_size = PAGE_SIZE_MAX

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor = super().decode_cursor(request)
        except exceptions.NotFound as error:
            raise _bad_cursor() from error
        # PostgreSQL has no text with NUL, and would end the transaction over it.
        if cursor is not None and "\0" in str(cursor.position):
            raise _bad_cursor()
        return cursor

    def rows(self, *, queryset: QuerySet[M], request: Request, ordering: str) -> list[M]:
        """The page that the request names. `ordering` is one field, `-` for newest first."""
        self.order = (ordering,) if ordering.lstrip("-") in {"id", "pk"} else (ordering, "-pk")
        try:
            found = self.paginate_queryset(queryset, request)
        except (ValueError, FieldValidationError) as error:
            # The position is the client's text: it may be no date and no number.
            raise _bad_cursor() from error
        return list(found or [])

    def get_ordering(self, request: Request, queryset: Any, view: Any) -> tuple[str, ...]:
        return self.order

    def get_page_size(self, request: Request) -> int:
        return page_limit(request)


def page_limit(request: Request) -> int:
    """`?limit=`, 1 to PAGE_SIZE_MAX."""
    text = request.query_params.get("limit")
    if text is None:
        return PAGE_SIZE
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= PAGE_SIZE_MAX):
        message = f"Enter a whole number from 1 to {PAGE_SIZE_MAX}."
        raise exceptions.ValidationError({"limit": [message]})
    return int(text)


def page_of(
    *, items: Sequence[T] | QuerySet[Any], request: Request
) -> tuple[list[Any], str | None, str | None]:
    """A page of what stands in memory or does not change, with the addresses of the next and the
    previous. A query set is only read where the page lies."""
    offset = cursor_offset(request)
    total = items.count() if isinstance(items, QuerySet) else len(items)
    shown = list(items[offset : offset + page_limit(request)])
    following, previous = cursor_links(
        request=request, offset=offset, shown=len(shown), total=total
    )
    return shown, following, previous


def cursor_offset(request: Request) -> int:
    """How many rows `?cursor=` skips."""
    text = request.query_params.get("cursor", "")
    if not text:
        return 0
    try:
        name, _, number = base64.urlsafe_b64decode(text.encode("ascii")).decode().partition("=")
        offset = int(number)
    except (ValueError, binascii.Error) as error:
        raise _bad_cursor() from error
    if name != "o" or not 0 <= offset <= 10**9:
        raise _bad_cursor()
    return offset


def cursor_links(
    *, request: Request, offset: int, shown: int, total: int
) -> tuple[str | None, str | None]:
    """Addresses of the next and the previous page."""
    following = _link(request, offset + shown) if shown > 0 and offset + shown < total else None
    previous = _link(request, max(0, offset - page_limit(request))) if offset > 0 else None
    return following, previous


def _link(request: Request, offset: int) -> str:
    cursor = base64.urlsafe_b64encode(f"o={offset}".encode()).decode()
    return iri_to_uri(replace_query_param(request.build_absolute_uri(), "cursor", cursor)) or ""


def _bad_cursor() -> exceptions.ValidationError:
    return exceptions.ValidationError({"cursor": ["This is no cursor of this list."]})
