"""What a page and its frame both ask for, made once a request."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from django.http import HttpRequest

T = TypeVar("T")


def once(request: HttpRequest, name: str, make: Callable[[], T]) -> T:
    """What `make` returns; kept on the request under `name`, of which each has one meaning."""
    kept: dict[str, Any] = request.__dict__.setdefault("_once", {})
    if name not in kept:
        kept[name] = make()
    return cast("T", kept[name])
