"""The REST side for asyncio: the same calls, each in a thread of its own."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from mockmarket_client.models import (
    Candle,
    Instrument,
    Leaderboard,
    Order,
    Point,
    Portfolio,
    Position,
    Quote,
    Trade,
)
from mockmarket_client.rest import Client


class AsyncClient:
    """`Client` with coroutines. Lists are fetched whole."""

    def __init__(self, url: str, **credentials: Any) -> None:
        self.sync = Client(url, **credentials)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.sync.close()

    async def instruments(self, *, search: str = "", segment: str = "") -> list[Instrument]:
        return await asyncio.to_thread(
            lambda: list(self.sync.instruments(search=search, segment=segment))
        )

    async def quotes(self, keys: Sequence[str]) -> dict[str, Quote]:
        return await asyncio.to_thread(self.sync.quotes, keys)

    async def candles(
        self,
        key: str,
        *,
        interval: str = "1m",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Candle]:
        return await asyncio.to_thread(
            lambda: self.sync.candles(key, interval=interval, start=start, end=end)
        )

    async def market_status(self) -> dict[str, Any]:
        return await asyncio.to_thread(self.sync.market_status)

    async def portfolio(self, *, contest: str = "") -> Portfolio:
        return await asyncio.to_thread(lambda: self.sync.portfolio(contest=contest))

    async def positions(self, *, contest: str = "") -> list[Position]:
        return await asyncio.to_thread(lambda: self.sync.positions(contest=contest))

    async def equity(self, *, contest: str = "") -> list[Point]:
        return await asyncio.to_thread(lambda: self.sync.equity(contest=contest))

    async def trades(self, *, contest: str = "") -> list[Trade]:
        return await asyncio.to_thread(lambda: list(self.sync.trades(contest=contest)))

    async def leaderboard(self, contest: str, *, board: str = "return") -> Leaderboard:
        return await asyncio.to_thread(lambda: self.sync.leaderboard(contest, board=board))

    async def place_order(
        self,
        key: str,
        *,
        side: str,
        quantity: int,
        order_type: str = "MARKET",
        price: Decimal | None = None,
        client_order_id: str | None = None,
        contest: str | None = None,
    ) -> Order:
        return await asyncio.to_thread(
            lambda: self.sync.place_order(
                key,
                side=side,
                quantity=quantity,
                order_type=order_type,
                price=price,
                client_order_id=client_order_id,
                contest=contest,
            )
        )

    async def call(self, method: str, path: str, *, body: Mapping[str, Any] | None = None) -> Any:
        """Any other operation under /api/v1/."""
        return await asyncio.to_thread(lambda: self.sync.call(method, path, body=body))

    async def order(self, order_id: str) -> Order:
        return await asyncio.to_thread(self.sync.order, order_id)

    async def cancel_order(self, order_id: str) -> Order:
        return await asyncio.to_thread(self.sync.cancel_order, order_id)
