"""Django on warm threads: one hop a request, few threads, kept, no more at once than there are."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core import signals
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from mockmarket.core.threads import WarmHandler

seen: list[threading.Thread] = []
at_once = {"now": 0, "most": 0}


def plain_middleware(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Synchronous only, as our own are."""

    def middleware(request: HttpRequest) -> HttpResponse:
        seen.append(threading.current_thread())
        return get_response(request)

    return middleware


def view(request: HttpRequest) -> HttpResponse:
    at_once["now"] += 1
    at_once["most"] = max(at_once.values())
    seen.append(threading.current_thread())
    time.sleep(float(request.GET.get("seconds", 0)))
    at_once["now"] -= 1
    return HttpResponse("seen", headers={"X-Thread": threading.current_thread().name})


def failing(request: HttpRequest) -> HttpResponse:
    raise ValueError("a view failed")


def streaming(request: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        seen.append(threading.current_thread())
        yield b"one "
        yield b"two"

    answer = StreamingHttpResponse(pieces(), content_type="text/csv", status=203)
    answer.set_cookie("kind", "stream")
    return answer


def echo(request: HttpRequest) -> HttpResponse:
    return HttpResponse(request.body)


urlpatterns = [
    path("", view),
    path("failing/", failing),
    path("streaming/", streaming),
    path("echo/", echo),
]


@pytest.fixture(autouse=True)
def _site(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [f"{__name__}.plain_middleware"]
    settings.ALLOWED_HOSTS = ["*"]
    seen.clear()
    at_once.update(now=0, most=0)


async def ask(
    application: Any,
    target: str = "/",
    query: bytes = b"",
    body: bytes = b"",
    *,
    gone: bool = False,
) -> tuple[int, dict[bytes, bytes], bytes]:
    """Status, headers and body of an answer; `gone`: the client leaves before it has asked."""
    heard: list[dict[str, Any]] = [
        {"type": "http.request", "body": body[:2], "more_body": True},
        {"type": "http.request", "body": body[2:]},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if gone:
            return {"type": "http.disconnect"}
        if not heard:
            await asyncio.Event().wait()  # the client stays
        return heard.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": target, "query_string": query, "root_path": "",
        "headers": [(b"content-length", str(len(body)).encode())],
    }  # fmt: skip
    await application(scope, receive, send)
    if not sent:
        return 0, {}, b""
    assert [message.get("more_body", False) for message in sent[1:]][-1] is False
    whole = b"".join(message["body"] for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"]), whole


async def test_all_of_a_request_is_done_in_one_turn_of_one_thread() -> None:
    turns: list[threading.Thread] = []
    warm = WarmHandler(threads=4)

    def begun(**kwargs: Any) -> None:
        turns.append(threading.current_thread())

    submit, submitted = warm._threads.submit, 0

    def counted(*args: Any) -> Any:
        nonlocal submitted
        submitted += 1
        return submit(*args)

    warm._threads.submit = counted  # type: ignore[assignment, method-assign]
    signals.request_started.connect(begun)
    signals.request_finished.connect(begun)
    try:
        assert await ask(warm) == (200, {b"Content-Type": b"text/html; charset=utf-8",
                                         b"X-Thread": b"view_0"}, b"seen")  # fmt: skip
    finally:
        signals.request_started.disconnect(begun)
        signals.request_finished.disconnect(begun)
    assert submitted == 1
    # Middleware and view; the beginning and the end.
    assert len(seen) == len(turns) == 2
    assert len({*seen, *turns}) == 1


async def test_requests_after_each_other_stay_on_the_same_threads() -> None:
    warm = WarmHandler(threads=4)
    for _ in range(20):
        await ask(warm)
    assert len(set(seen)) <= 2  # the first may still be on its way back when the second comes


async def test_control_django_alone_takes_a_thread_each() -> None:
    django = ASGIHandler()
    for _ in range(5):
        await ask(django)
    assert len(set(seen)) == 5


async def test_never_more_views_at_once_than_threads() -> None:
    warm = WarmHandler(threads=3)
    await asyncio.gather(*(ask(warm, query=b"seconds=0.01") for _ in range(12)))
    assert len(seen) == 24
    assert at_once["most"] <= 3
    assert len(set(seen)) == 3


async def test_a_failed_view_gives_its_thread_back() -> None:
    warm = WarmHandler(threads=1)
    for _ in range(3):
        status, _headers, _body = await ask(warm, "/failing/")
        assert status == 500
    assert (await asyncio.wait_for(ask(warm), 5))[0] == 200


async def test_a_streamed_answer_is_read_on_the_thread_and_sent_whole() -> None:
    status, headers, body = await ask(WarmHandler(threads=1), "/streaming/")
    assert (status, body) == (203, b"one two")
    assert headers[b"Content-Type"] == b"text/csv"
    assert headers[b"Set-Cookie"].startswith(b"kind=stream")
    assert {thread.name for thread in seen} == {"view_0"}


async def test_a_body_in_pieces_arrives_whole() -> None:
    assert await ask(WarmHandler(threads=1), "/echo/", body=b"a body") == (
        200,
        {b"Content-Type": b"text/html; charset=utf-8"},
        b"a body",
    )


async def test_who_leaves_before_asking_costs_no_thread() -> None:
    assert await ask(WarmHandler(threads=1), body=b"half", gone=True) == (0, {}, b"")
    assert seen == []


async def test_a_request_that_cannot_be_read_is_refused() -> None:
    status, _headers, _body = await ask(WarmHandler(threads=1), query=b"\xff\xfe")
    assert status == 400
