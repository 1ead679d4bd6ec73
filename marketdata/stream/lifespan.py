"""The hub begins with the server, not with the first socket, and ends in order with it."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from marketdata.stream import hub

log = logging.getLogger(__name__)


async def application(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """ASGI's lifespan: `startup` starts the hub without waiting for Redis, `shutdown` ends it."""
    running: hub.Hub | None = None
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            running = hub.begin()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            if running is not None:
                await running.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
