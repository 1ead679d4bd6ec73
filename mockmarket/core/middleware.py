"""A request id on every request, response and log line, and one log line a request."""

import re
import time
import uuid
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

_ACCEPTABLE = re.compile(r"[A-Za-z0-9-]{8,64}")
log = structlog.get_logger("mockmarket.request")


class RequestIdMiddleware:
    """Takes `X-Request-ID` of the proxy when it is well formed, else makes one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        offered = request.headers.get("X-Request-ID", "")
        request.id = offered if _ACCEPTABLE.fullmatch(offered) else uuid.uuid4().hex  # type: ignore[attr-defined]
        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(request_id=request.id):  # type: ignore[attr-defined]
            response = self.get_response(request)
            # The path without its query: tokens and names have travelled in queries before.
            log.info(
                "request",
                method=request.method,
                path=request.path,
                status=response.status_code,
                ms=round((time.perf_counter() - began) * 1000, 1),
                user=getattr(getattr(request, "_cached_user", None), "pk", None),
            )
        response["X-Request-ID"] = request.id  # type: ignore[attr-defined]
        return response
