"""The contestants beside the product, as ASGI applications for its own server.

`plain` is how Channels is mostly used: a consumer that joins a group per instrument. `bare` only
accepts and waits: what a socket costs the server itself.
"""

import asyncio
import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

import django

django.setup()

from django.conf import settings  # noqa: E402

if os.environ.get("BENCH_PUBLISH_INSIDE"):
    # The in-memory layer ends at the process, so the publisher lives inside too.
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402

from benchmarks.streaming import publisher, workload  # noqa: E402

_rows = {key: row for row, key in enumerate(workload.KEYS)}
_publishing: set[asyncio.Task[None]] = set()


class PriceConsumer(AsyncJsonWebsocketConsumer):  # type: ignore[misc]
    """One group per instrument, one frame per tick."""

    async def connect(self) -> None:
        await self.accept()
        if os.environ.get("BENCH_PUBLISH_INSIDE") and not _publishing:
            _publishing.add(asyncio.create_task(publisher.groups(publisher.Ticks(1.0))))

    async def receive_json(self, content: dict[str, Any], **_: object) -> None:
        if content.get("action") == "subscribe":
            for key in content["instruments"]:
                await self.channel_layer.group_add(f"i{_rows[key]}", self.channel_name)
            await self.send_json({"type": "subscription_confirmed"})
            await self.send_json({"type": "prices_batch", "data": {}})

    async def price_update(self, event: dict[str, Any]) -> None:
        await self.send_json(event)


plain = PriceConsumer.as_asgi()


async def bare(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept, and wait for the end."""
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


def main() -> None:
    """`python -m benchmarks.streaming.rivals plain|bare SERVER PORT`"""
    import gc
    import importlib
    import sys

    from mockmarket.core.servers import limits

    name, server, port = sys.argv[1:]
    module = importlib.import_module(f"mockmarket.core.servers.{server}")
    assert get_channel_layer() is not None
    gc.collect()
    gc.freeze()
    module.serve(
        application=globals()[name], listener=limits.listen(host="127.0.0.1", port=int(port))
    )


if __name__ == "__main__":
    main()
