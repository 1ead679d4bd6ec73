"""The stream: prices merged as they come, private events in order, reconnecting by itself."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as connect_sync

from mockmarket_client.rest import Client

# After these the server would only refuse again.
FINAL_CODES = {4401, 4403}
RECONNECT_SECONDS = 3.0
RECONNECT_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True)
class Event:
    """One frame: `type` as the protocol names it, `data` its body, `seq` of a private event."""

    type: str
    data: dict[str, Any]
    seq: int | None = None


@dataclass(slots=True)
class State:
    """What the socket has told so far. Knows no network: frames in, events and messages out."""

    keys: list[str]
    prices: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: str = "disconnected"
    epoch: str | None = None
    seq: int = 0

    def opening(self) -> list[dict[str, Any]]:
        """What to send on a new connection."""
        messages: list[dict[str, Any]] = [{"action": "set", "instruments": self.keys}]
        if self.epoch is not None:
            messages.append({"action": "resume", "epoch": self.epoch, "seq": self.seq})
        return messages

    def take(self, text: str | bytes) -> Event | None:
        """Merges a frame; None for an event that was seen before the connection broke."""
        frame = json.loads(text)
        kind, data = frame.get("type", ""), frame.get("data", {})
        if kind in {"prices_batch", "indices_update"}:
            for key, fields in data.items():
                self.prices.setdefault(key, {}).update(fields)
        elif kind == "price_update":
            self.prices.setdefault(frame["instrument_key"], {}).update(data)
        elif kind == "status":
            self.status = frame["status"]
        elif kind == "welcome":
            if self.epoch is None:
                self.epoch, self.seq = frame["epoch"], frame["seq"]
        elif kind == "resync":
            self.epoch, self.seq = frame.get("epoch", self.epoch), frame["seq"]
        seq = frame.get("seq") if kind not in {"welcome", "resync"} else None
        if seq is not None:
            if seq <= self.seq and kind not in {"portfolio_update", "rank_update"}:
                return None
            self.seq = max(self.seq, seq)
        return Event(type=kind, data=data or frame, seq=seq)


def pause(attempt: int) -> float:
    """Seconds before attempt number `attempt`: full jitter around about 3 s, growing."""
    ceiling = min(RECONNECT_SECONDS_MAX, RECONNECT_SECONDS * 2 ** max(0, attempt - 1))
    return random.uniform(0.2, ceiling)  # noqa: S311


def _address(client: Client) -> str:
    return client.url.replace("http", "ws", 1) + "/ws/"


def _final(error: ConnectionClosed) -> bool:
    return error.rcvd is not None and error.rcvd.code in FINAL_CODES


class Stream:
    """Follows the socket in the caller's thread: iterate over it. `state.prices` is up to date
    with every event. Ends only when the server refuses the credential."""

    def __init__(self, client: Client, keys: Iterable[str]) -> None:
        self.client = client
        self.state = State(list(keys))

    def __iter__(self) -> Iterator[Event]:
        attempt = 0
        while True:
            try:
                headers = {"Authorization": self.client.authorization()}
                with connect_sync(_address(self.client), additional_headers=headers) as socket:
                    for message in self.state.opening():
                        socket.send(json.dumps(message))
                    for text in socket:
                        attempt = 0
                        event = self.state.take(text)
                        if event is not None:
                            yield event
            except ConnectionClosed as error:
                if _final(error):
                    raise
            except InvalidStatus as error:
                if error.response.status_code in {401, 403}:
                    raise
            except OSError:
                pass
            self.state.status = "disconnected"
            attempt += 1
            time.sleep(pause(attempt))


class AsyncStream:
    """`Stream` for asyncio: `async for event in AsyncStream(client, keys)`."""

    def __init__(self, client: Client, keys: Iterable[str]) -> None:
        self.client = client
        self.state = State(list(keys))

    async def __aiter__(self) -> AsyncIterator[Event]:
        attempt = 0
        while True:
            try:
                authorization = await asyncio.to_thread(self.client.authorization)
                headers = {"Authorization": authorization}
                async with connect_async(
                    _address(self.client), additional_headers=headers
                ) as socket:
                    for message in self.state.opening():
                        await socket.send(json.dumps(message))
                    async for text in socket:
                        attempt = 0
                        event = self.state.take(text)
                        if event is not None:
                            yield event
            except ConnectionClosed as error:
                if _final(error):
                    raise
            except InvalidStatus as error:
                if error.response.status_code in {401, 403}:
                    raise
            except OSError:
                pass
            self.state.status = "disconnected"
            attempt += 1
            await asyncio.sleep(pause(attempt))
