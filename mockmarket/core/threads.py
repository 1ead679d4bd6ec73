"""Django over HTTP: one hop to a warm thread and back for each request.

Django's own ASGI handler gives each request an executor and a thread, and with synchronous
middleware it goes back and forth between that thread and the event loop seven times: for its
signals, around every change between synchronous and asynchronous middleware, for CSRF, the view
and the end. Each time the loop or the thread waits for the other's turn at the interpreter, so
that under load pages wait for turns more than they work. A connection belongs to a thread, too, so
on SQLite each request opened the file and ran its PRAGMAs: about 10 ms around a view of 1.4 ms.
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, cast

from django.core import signals
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.urls import set_script_prefix

# Views that run at once in one process; the next ones wait their turn. Above the number of
# connections to PostgreSQL more threads would only wait there. A thread is made only when none is
# idle, so under light load one or two serve all, and their caches stay warm.
THREADS: Final = 16


class WarmHandler(ASGIHandler):
    """An ASGI application for HTTP: all of Django's work on one of a few kept threads."""

    def __init__(self, *, threads: int = THREADS) -> None:
        BaseHandler.__init__(self)
        # Not ASGIHandler's: a chain of synchronous middleware around synchronous views.
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="view")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._threads, self._answer, scope, body)
        await self.send_response(response, send)

    def _answer(self, scope: Any, body: Any) -> HttpResponseBase:
        """The whole answer to one request, with its connections and files given back."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, response = self.create_request(scope, body)
        if request is None:
            body.close()
        else:
            response = self.get_response(request)
        assert response is not None
        if isinstance(response, StreamingHttpResponse):
            # A static file: read here, where reading may block. Django, too, reads it whole.
            content = b"".join(cast("Iterator[bytes]", response.streaming_content))
            whole = HttpResponse(content, status=response.status_code)
            whole.headers, whole.cookies = response.headers, response.cookies
            response.close()
            return whole
        response.close()
        return response
