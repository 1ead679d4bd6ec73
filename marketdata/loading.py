"""What the engine reads from the database when it starts, and again each session."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from marketdata import closing, sessions
from marketdata.gate import reference_for
from marketdata.interest import STRIP
from marketdata.models import ClosingPrice, Instrument, LastPrice
from marketdata.quotes import Reference, Tick
from mockmarket.core import clock
from mockmarket.core.clock import IST


@dataclass(frozen=True, slots=True)
class StartState:
    """`universe`: keys swept by REST, the strip first. `references`: bounds without closes.

    `closes`: the last known previous close by key. `ticks`: last prices of the database.
    """

    universe: tuple[str, ...]
    references: dict[str, Reference]
    closes: dict[str, float]
    ticks: tuple[Tick, ...]


def start_state(*, at: datetime) -> StartState:
    """Everything the engine needs to fill its board before the first frame."""
    universe = [*STRIP]
    references: dict[str, Reference] = {}
    rows = Instrument.objects.filter(active=True, in_universe=True).values_list(
        "key", "segment", "symbol", "tick_size"
    )
    for key, segment, symbol, tick_size in rows.order_by("pk"):
        if key not in STRIP:
            universe.append(key)
        references[key] = reference_for(
            segment=segment,
            symbol=symbol,
            grid=float(tick_size) if tick_size else None,
            previous_close=None,
        )
    closes: dict[str, float] = {}
    ticks: list[Tick] = []
    kept = LastPrice.objects.select_related("instrument").filter(instrument__active=True)
    for row in kept.iterator(chunk_size=2000):
        if row.previous_close:
            closes[row.instrument.key] = float(row.previous_close)
        ticks.append(tick_of(row, at))
    return StartState(tuple(universe), references, closes, tuple(ticks))


def previous_closes(*, at: datetime, calendar: sessions.Calendar) -> tuple[Tick, ...]:
    """Our own closing prices of the session before, as the previous closes of this one.

    Timed at the midnight that begins the session: newer than anything of the day before, older
    than what the exchange says of today, which may be adjusted for a split.
    """
    ticks: list[Tick] = []
    for market in closing.CLOSING_MARKETS:
        day = sessions.session_date(market=market, at=at, calendar=calendar)
        before = sessions.previous_session(market=market, day=day, calendar=calendar)
        midnight_ms = clock.to_ms(datetime.combine(day, datetime.min.time(), IST))
        kept = ClosingPrice.objects.filter(session_date=before, instrument__active=True).filter(
            closing.instruments_of(market)
        )
        for key, close in kept.values_list("instrument__key", "close"):
            ticks.append(
                Tick(
                    instrument_key=key,
                    exchange_ms=midnight_ms,
                    received_ms=clock.to_ms(at),
                    source="database",
                    previous_close=float(close),
                )
            )
    return tuple(ticks)


def tick_of(row: LastPrice, at: datetime) -> Tick:
    """A kept price as the board takes it."""
    traded_ms = clock.to_ms(row.traded_at)
    return Tick(
        instrument_key=row.instrument.key,
        exchange_ms=traded_ms,
        received_ms=clock.to_ms(row.stored_at),
        source="database",
        last_price=float(row.last_price),
        last_trade_ms=traded_ms,
        previous_close=_float(row.previous_close),
        open=_float(row.open),
        high=_float(row.high),
        low=_float(row.low),
        volume=row.volume,
    )


def _float(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
