"""JSON in and out, with limits: orjson, bounded bodies, Decimals as strings."""

from decimal import Decimal
from typing import Any

import orjson
from django.conf import settings
from rest_framework import exceptions
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer

from mockmarket.core.errors import DomainError


class BodyTooLarge(DomainError):
    """The body is longer than any request of this API needs."""

    code = "body_too_large"
    status = 413


class Rendered(str):
    """A body that is JSON already: answered byte for byte."""

    __slots__ = ()


class JsonRenderer(BaseRenderer):
    """Times in UTC, NaN as null, Decimals as strings."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None
    ) -> bytes:
        if isinstance(data, Rendered):
            return data.encode()
        return b"" if data is None else encode(data)


class JsonParser(BaseParser):
    """One JSON object of at most API_BODY_BYTES_MAX bytes."""

    media_type = "application/json"

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Any = None
    ) -> dict[str, Any]:
        ceiling: int = settings.API_BODY_BYTES_MAX
        body = stream.read(ceiling + 1)
        if len(body) > ceiling:
            raise BodyTooLarge(f"A body may have at most {ceiling} bytes.")
        try:
            data = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise exceptions.ParseError("The body is not valid JSON.") from error
        if not isinstance(data, dict):
            raise exceptions.ParseError("The body must be a JSON object.")
        return data


def encode(data: Any) -> bytes:
    """`data` as the API writes it."""
    return orjson.dumps(data, default=_plain, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
