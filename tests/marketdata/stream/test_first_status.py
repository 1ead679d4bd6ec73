"""The first status that a page hears from a web process that has heard nothing itself."""

import json
from collections.abc import Sequence

from marketdata.stream.auth import Arrival
from marketdata.stream.hub import Hub
from marketdata.stream.sockets import Grant


class Page:
    """A sink that keeps what it is sent."""

    writable = True

    def __init__(self) -> None:
        self.frames: list[dict[str, str]] = []

    def send(self, frames: Sequence[bytes]) -> None:
        self.frames += [json.loads(frame) for frame in frames]

    def close(self, code: int, reason: str) -> None:
        self.frames.append({"type": "closed", "reason": reason})


async def test_a_hub_that_has_heard_nothing_does_not_say_that_there_is_no_feed() -> None:
    hub, page = Hub(), Page()
    arrival = Arrival(grant=Grant(1, "", ""), epoch="e", seq=0)
    try:
        await hub.admit(sink=page, arrival=arrival)
        assert [frame["type"] for frame in page.frames[:2]] == ["welcome", "status"]
        assert page.frames[1]["status"] == "delayed"
        hub.silent()  # only silence that lasts says so
        assert json.loads(hub.status)["status"] == "disconnected"
    finally:
        await hub.stop()
