"""A typed client of a MockMarket server.

    from mockmarket_client import Client

    with Client("http://127.0.0.1:8000", token="mm_…") as client:
        print(client.quotes(["NSE_EQ|INE002A01018"]))
        client.place_order("NSE_EQ|INE002A01018", side="BUY", quantity=10)

`AsyncClient` has the same methods as coroutines; `Stream` and `AsyncStream` follow the socket
and reconnect by themselves.
"""

from mockmarket_client.aio import AsyncClient
from mockmarket_client.errors import ApiError
from mockmarket_client.models import (
    BoardRow,
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
from mockmarket_client.stream import AsyncStream, Event, Stream

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncStream",
    "BoardRow",
    "Candle",
    "Client",
    "Event",
    "Instrument",
    "Leaderboard",
    "Order",
    "Point",
    "Portfolio",
    "Position",
    "Quote",
    "Stream",
    "Trade",
]
