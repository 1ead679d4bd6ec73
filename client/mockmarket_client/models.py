"""What the server answers, with exact decimals and aware times."""

import dataclasses
import types
import typing
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Self


class _Model:
    """Reads the fields that it knows and ignores what a newer server adds."""

    @classmethod
    def parse(cls, body: dict[str, Any]) -> Self:
        """From a JSON object. Raises KeyError when a field is missing."""
        hints = typing.get_type_hints(cls)
        values = {
            field.name: _read(hints[field.name], body[field.name])
            for field in dataclasses.fields(cls)  # type: ignore[arg-type]
        }
        return cls(**values)


def _read(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, types.UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if kind is Decimal:
        return Decimal(value)
    if kind is datetime:
        return datetime.fromisoformat(value)
    return value


@dataclass(frozen=True, slots=True)
class Instrument(_Model):
    instrument_key: str
    symbol: str
    name: str
    segment: str
    sector: str
    tick_size: Decimal
    lot_size: int
    halted: bool


@dataclass(frozen=True, slots=True)
class Quote(_Model):
    """`age_ms` is how old the price was when the server answered; `source` where it came from."""

    last_price: Decimal | None
    change: Decimal | None
    change_percent: Decimal | None
    volume: int | None
    bid: Decimal | None
    ask: Decimal | None
    previous_close: Decimal | None
    timestamp: datetime | None
    source: str | None
    age_ms: int | None


@dataclass(frozen=True, slots=True)
class Candle:
    start: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: int


@dataclass(frozen=True, slots=True)
class Portfolio(_Model):
    """What a portfolio is worth. Rupees and percent."""

    portfolio_id: int
    contest: str
    cash: Decimal
    reserved: Decimal
    buying_power: Decimal
    invested: Decimal
    equity: Decimal
    day_pnl: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    return_percent: Decimal
    rank: int | None
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Position(_Model):
    instrument_key: str
    symbol: str
    product: str
    quantity: int
    average_price: Decimal
    last_price: Decimal
    value: Decimal
    unrealised_pnl: Decimal


@dataclass(frozen=True, slots=True)
class Order(_Model):
    id: str
    client_order_id: str
    instrument_key: str
    symbol: str
    side: str
    order_type: str
    quantity: int
    filled_quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    average_price: Decimal | None
    status: str
    status_reason: str
    placed_at: datetime

    @property
    def ended(self) -> bool:
        """Whether nothing more can happen to it."""
        return self.status in {"FILLED", "CANCELLED", "REJECTED", "EXPIRED"}


@dataclass(frozen=True, slots=True)
class Gtt(_Model):
    """An instruction that waits for a price; `order_id` once it has placed its order."""

    id: str
    instrument_key: str
    symbol: str
    side: str
    quantity: int
    status: str
    fired_leg: str
    order_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Alert(_Model):
    id: int
    instrument_key: str
    symbol: str
    kind: str
    threshold: Decimal
    armed: bool
    fired_count: int
    fired_at: datetime | None


@dataclass(frozen=True, slots=True)
class Trade(_Model):
    id: str
    order_id: str
    instrument_key: str
    symbol: str
    side: str
    quantity: int
    price: Decimal
    charges: Decimal
    filled_at: datetime


@dataclass(frozen=True, slots=True)
class Point(_Model):
    """Equity at an instant, with NIFTY 50 beside it."""

    taken_at: datetime
    kind: str
    equity: Decimal
    benchmark: float | None


@dataclass(frozen=True, slots=True)
class BoardRow(_Model):
    rank: int | None
    alias: str
    return_percent: Decimal
    equity: Decimal
    me: bool


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Every row from one price snapshot."""

    snapshot_id: int
    as_of: datetime
    rows: tuple[BoardRow, ...]
    me: BoardRow | None
