"""Ten thousand generated frames through the whole application: hub, Redis and database are real."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from marketdata.stream import consumer, hub, protocol
from mockmarket.core.servers import limits
from tests.marketdata.stream.test_protocol import generated
from tests.support import stream

pytestmark = pytest.mark.django_db(transaction=True)
FRAMES = 10_000


class Collected:
    """A sink that never fills."""

    def __init__(self) -> None:
        self.writable = True
        self.frames: list[bytes] = []
        self.closed: int | None = None

    def send(self, frames: Sequence[bytes]) -> None:
        self.frames += frames

    def close(self, code: int, reason: str) -> None:
        self.closed = code


@pytest.fixture
async def own_hub() -> AsyncIterator[hub.Hub]:
    """This loop's hub, ended with the test."""
    begun = await hub.current()
    yield begun
    await begun.stop()


async def test_none_raises_and_each_is_answered(
    own_hub: hub.Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(protocol, "STRIKES_MAX", FRAMES + 1)
    monkeypatch.setattr(protocol, "MESSAGES_PER_SECOND", 10 * FRAMES)
    keys = await sync_to_async(stream.instruments)(3)
    headers = await sync_to_async(lambda: stream.bearer(stream.user()))()
    random = Random(20261122)
    said = iter([generated(random) for _ in range(FRAMES)])
    sink = Collected()
    scope = {
        "type": "websocket",
        "headers": [(b"authorization", headers["Authorization"].encode())],
        "extensions": {limits.EXTENSION: sink},
    }
    count = 0

    async def receive() -> dict[str, Any]:
        nonlocal count
        count += 1
        if count == 1:
            return {"type": "websocket.connect"}
        if count % 50 == 0:
            await asyncio.sleep(0)
        if count % 500 == 2:  # something real in between: it still works
            return _text(json.dumps({"action": "set", "instruments": keys}))
        frame = next(said, None)
        if frame is None:
            return {"type": "websocket.disconnect", "code": 1000}
        return _text(frame) if isinstance(frame, str) else {**_RECEIVE, "bytes": frame}

    async def send(message: dict[str, Any]) -> None:
        assert message["type"] == "websocket.accept"

    with caplog.at_level(logging.WARNING):
        await consumer.application(scope, receive, send)
    assert sink.closed is None
    assert own_hub.counters["failed"] == 0
    assert [record.message for record in caplog.records] == []
    answers = [json.loads(frame) for frame in sink.frames]
    kinds = {answer["type"] for answer in answers}
    assert {"error", "pong", "subscription_confirmed", "options_confirmed"} <= kinds
    assert sum(answer["type"] == "error" for answer in answers) > FRAMES / 2


_RECEIVE = {"type": "websocket.receive"}


def _text(frame: str) -> dict[str, Any]:
    return {**_RECEIVE, "text": frame}
