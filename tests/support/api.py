"""A cast with portfolios, a small live market, and signed-in clients for tests of the API."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from rest_framework.test import APIClient

from marketdata import selectors as market
from marketdata.board import Board
from marketdata.mirror import mirror
from marketdata.models import Instrument, LastPrice
from marketdata.quotes import Tick
from mockmarket.core import clock, redis
from mockmarket.core.models import User
from portfolios import services


def student(name: str, *, at: datetime | None = None, **fields: Any) -> User:
    """A user with a practice portfolio of ten lakh."""
    user = User.objects.create(username=name, password="!", **fields)
    services.ensure_practice(user=user, at=at or clock.now())
    return user


def client_of(user: User | None) -> APIClient:
    """A client signed in as `user`; None is anonymous."""
    client = APIClient(raise_request_exception=False)
    if user is not None:
        client.force_authenticate(user)
    return client


def share(symbol: str, **fields: Any) -> Instrument:
    """A listed share with a fixed key."""
    return Instrument.objects.create(
        **{
            "key": f"NSE_EQ|INE{symbol[:9]:_<9}",
            "symbol": symbol,
            "name": f"{symbol.title()} Limited",
            "isin": f"INE{symbol[:9]:_<9}",
            "exchange": "NSE",
            "segment": "NSE_EQ",
            "instrument_type": "EQ",
            "sector": "Energy",
            "tick_size": Decimal("0.05"),
            "in_universe": True,
            **fields,
        }
    )


def index(name: str = "Nifty 50") -> Instrument:
    """An index of the strip."""
    return share(
        name.upper(),
        key=f"NSE_INDEX|{name}",
        segment="NSE_INDEX",
        instrument_type="INDEX",
        isin="",
        sector="",
    )


def live_market(prices: dict[Instrument, float]) -> None:
    """A board with these prices, a five-level book a tick apart, received now."""
    now_ms = clock.now_ms()
    board = Board(epoch="test")
    board.merge([_tick(row, price, now_ms) for row, price in prices.items()])
    snapshot = {
        **board.snapshot(at_ms=now_ms),
        "status": {
            "status": "live",
            "message": "Market open; prices are live.",
            "phase": "CONTINUOUS",
            "source": "simulated",
            "source_label": "Simulated exchange",
            "as_of": clock.from_ms(now_ms).isoformat(),
            "next_open": None,
        },
    }
    redis.client().set(redis.key("board"), msgspec.msgpack.encode(snapshot), ex=60)
    mirror.cache_clear()
    market.forget()


def kept_price(row: Instrument, price: str) -> None:
    """The last price of the database: the end of the fallback chain."""
    LastPrice.objects.create(
        instrument=row,
        last_price=Decimal(price),
        previous_close=Decimal(price),
        traded_at=clock.now(),
        source="rest",
        stored_at=clock.now(),
    )


def _tick(row: Instrument, price: float, now_ms: int) -> Tick:
    return Tick(
        instrument_key=row.key,
        exchange_ms=now_ms,
        received_ms=now_ms,
        source="stream",
        last_price=price,
        last_quantity=1,
        last_trade_ms=now_ms,
        previous_close=price - 10,
        open=price - 5,
        high=price + 5,
        low=price - 6,
        volume=1000,
        average_price=price,
        bids=tuple((price - 0.05 * (n + 1), 100) for n in range(5)),
        asks=tuple((price + 0.05 * (n + 1), 100) for n in range(5)),
    )
