"""One envelope for every refusal under /api/: `{"error": {code, message, fields, request_id}}`."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import OperationalError
from django.http import Http404
from redis import RedisError
from rest_framework import exceptions, serializers
from rest_framework.response import Response

from mockmarket.core.errors import RETRY_AFTER_SECONDS, DomainError

logger = logging.getLogger(__name__)

# Codes of the interface itself; the domain's codes stand with their DomainErrors.
INTERFACE_CODES = {
    "invalid_request": "The body is not JSON, or is not an object.",
    "invalid_input": "A field or parameter is missing or has the wrong form.",
    "not_authenticated": "No credential was sent.",
    "forbidden": "The caller may not do this.",
    "csrf_failed": "A browser's request came without its CSRF token.",
    "not_found": "It does not exist, or the caller may not see it.",
    "method_not_allowed": "The address does not know this method.",
    "not_acceptable": "Only application/json is produced.",
    "unsupported_media_type": "Only application/json is read.",
    "throttled": "Too many requests; Retry-After says when to come back.",
    "service_unavailable": "Something that the request needs is away; try again.",
    "server_error": "A fault of the server. The request id finds it in the log.",
}

_CODES = {
    exceptions.ParseError: "invalid_request",
    exceptions.NotAuthenticated: "not_authenticated",
    exceptions.AuthenticationFailed: "invalid_token",
    exceptions.PermissionDenied: "forbidden",
    exceptions.NotFound: "not_found",
    exceptions.MethodNotAllowed: "method_not_allowed",
    exceptions.NotAcceptable: "not_acceptable",
    exceptions.UnsupportedMediaType: "unsupported_media_type",
}


class CsrfFailed(exceptions.PermissionDenied):
    """A session's unsafe request without its CSRF token."""

    default_code = "csrf_failed"


class ErrorBodySerializer(serializers.Serializer[Any]):
    code = serializers.CharField(help_text="Stable, snake_case; the list is in the guide.")
    message = serializers.CharField(help_text="For people; may change.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), help_text="Message by field or parameter."
    )
    request_id = serializers.CharField(help_text="Also in the X-Request-ID header.")


class ErrorSerializer(serializers.Serializer[Any]):
    """The envelope, for the schema."""

    error = ErrorBodySerializer()


def envelope(
    *, code: str, message: str, request_id: str, fields: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The body of a refusal."""
    return {
        "error": {
            "code": code,
            "message": message,
            "fields": dict(fields or {}),
            "request_id": request_id,
        }
    }


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's hook: any exception of a view as the envelope. Unexpected ones are logged, 500."""
    request = context["request"]
    request_id = str(getattr(request, "id", ""))
    if isinstance(exc, DomainError):
        return _response(
            status=exc.status,
            retry_after=getattr(exc, "retry_after", None),
            body=envelope(
                code=exc.code, message=exc.message, fields=exc.fields, request_id=request_id
            ),
        )
    if isinstance(exc, Http404):
        exc = exceptions.NotFound()
    elif isinstance(exc, PermissionDenied):
        exc = exceptions.PermissionDenied()
    if isinstance(exc, exceptions.ValidationError):
        fields = flatten(exc.detail)
        return _response(
            status=400,
            body=envelope(
                code="invalid_input",
                message=_summary(fields),
                fields=fields,
                request_id=request_id,
            ),
        )
    if isinstance(exc, exceptions.APIException):
        response = _response(
            status=exc.status_code,
            body=envelope(
                code="csrf_failed" if isinstance(exc, CsrfFailed) else _code(exc),
                message=str(exc.detail),
                request_id=request_id,
            ),
        )
        if header := getattr(exc, "auth_header", None):
            response["WWW-Authenticate"] = header
        return response
    return _unexpected(exc, context=context, request_id=request_id)


def _unexpected(exc: Exception, *, context: Mapping[str, Any], request_id: str) -> Response:
    if isinstance(exc, OperationalError | RedisError):
        # A lock or statement time-out, or a server away. Whether a commit under way got through is
        # not known then: the key tells.
        logger.error("a store refused", exc_info=exc, extra={"request_id": request_id})
        return _response(
            status=503,
            retry_after=RETRY_AFTER_SECONDS,
            body=envelope(
                code="service_unavailable",
                message="The server is busy. Try again, with the same key if you sent one.",
                request_id=request_id,
            ),
        )
    logger.error("unhandled exception in the API", exc_info=exc, extra={"request_id": request_id})
    request = context["request"]
    got_request_exception.send(sender=None, request=getattr(request, "_request", request))
    return _response(
        status=500,
        body=envelope(
            code="server_error",
            message="Something went wrong on the server. It has been recorded.",
            request_id=request_id,
        ),
    )


def _response(*, status: int, body: dict[str, Any], retry_after: float | None = None) -> Response:
    response = Response(body, status=status)
    if retry_after is not None:
        response["Retry-After"] = str(max(1, math.ceil(retry_after)))
    if status == 401:
        response["WWW-Authenticate"] = 'Bearer realm="api"'
    return response


def _code(exc: exceptions.APIException) -> str:
    for kind, code in _CODES.items():
        if isinstance(exc, kind):
            return code
    return "server_error" if exc.status_code >= 500 else "invalid_request"


def _summary(fields: Mapping[str, str]) -> str:
    if not fields:
        return "The request is not valid."
    name, message = next(iter(fields.items()))
    return message if name == "non_field_errors" else f"{name}: {message}"


def flatten(detail: Any, prefix: str = "") -> dict[str, str]:
    """DRF's nested error detail as dotted field names, the first message of each."""
    if isinstance(detail, Mapping):
        found: dict[str, str] = {}
        for name, inner in detail.items():
            found.update(flatten(inner, f"{prefix}.{name}" if prefix else str(name)))
        return found
    if isinstance(detail, list):
        if detail and not isinstance(detail[0], Mapping | list):
            return {prefix or "non_field_errors": str(detail[0])}
        found = {}
        for index, inner in enumerate(detail):
            if inner:
                found.update(flatten(inner, f"{prefix}.{index}" if prefix else str(index)))
        return found
    return {prefix or "non_field_errors": str(detail)}
