"""The market as an order sees it, from the engine's board or from a process's copy of it."""

from datetime import datetime
from decimal import Decimal

import numpy as np

from marketdata import selectors as market
from marketdata import sessions
from marketdata.board import COLUMN, levels, source_name
from marketdata.mirror import mirror
from marketdata.models import Instrument
from marketdata.quotes import DEPTH_LEVELS, Quote
from mockmarket.core.money import price as exact_price
from trading.bands import band
from trading.drafts import Terms
from trading.matching import Market


def terms_of(instrument: Instrument, *, index_share: bool) -> Terms:
    """What an instrument allows. `index_share`: it belongs to a bundled index."""
    return Terms(
        symbol=instrument.symbol,
        segment=instrument.segment,
        instrument_type=instrument.instrument_type,
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        freeze_quantity=instrument.freeze_quantity,
        active=instrument.active,
        halted=instrument.halted,
        halt_reason=instrument.halt_reason,
        fno_share=instrument.cas_eligible,
        index_share=index_share,
    )


def phase_of(instrument: Instrument, *, at: datetime) -> str:
    """The phase of the instrument's market at `at`."""
    return sessions.phase(market=market_name(instrument), at=at, calendar=market.calendar())


def market_name(instrument: Instrument) -> str:
    """The market whose timetable an instrument follows."""
    return sessions.market_of(segment=instrument.segment, cas_eligible=instrument.cas_eligible)


def from_quote(quote: Quote, instrument: Instrument, *, phase: str) -> Market:
    """The engine's view: the board's quote of this instant."""
    low, high = band(
        segment=instrument.segment,
        dynamic=instrument.cas_eligible,
        previous_close=quote.previous_close,
        high=quote.high,
        low=quote.low,
        tick_size=instrument.tick_size,
    )
    return Market(
        instrument_key=instrument.key,
        tick_size=instrument.tick_size,
        phase=phase,
        source=quote.source or quote.book_source or "stream",
        received_ms=quote.received_ms or 0,
        exchange_ms=quote.timestamp_ms or 0,
        last_price=quote.last_price,
        volume=quote.volume,
        bids=quote.bids,
        asks=quote.asks,
        book_received_ms=quote.book_received_ms,
        band_low=low,
        band_high=high,
    )


def seen(instrument: Instrument, *, at: datetime) -> Market:
    """A web process's view: its copy of the board, else an empty market."""
    copy = mirror()
    copy.refresh()
    row, depth = copy.row(instrument.key), copy.depth(instrument.key)
    phase = phase_of(instrument, at=at)
    if row is None or depth is None:
        return Market(instrument.key, instrument.tick_size, phase, "database", 0, 0)

    def exact(name: str) -> Decimal | None:
        value = row[COLUMN[name]]
        return None if np.isnan(value) else exact_price(float(value))

    def whole(name: str) -> int | None:
        value = row[COLUMN[name]]
        return None if np.isnan(value) else int(value)

    received = whole("received_ms") or 0
    low, high = band(
        segment=instrument.segment,
        dynamic=instrument.cas_eligible,
        previous_close=exact("previous_close"),
        high=exact("high"),
        low=exact("low"),
        tick_size=instrument.tick_size,
    )
    return Market(
        instrument_key=instrument.key,
        tick_size=instrument.tick_size,
        phase=phase,
        source=source_name(float(row[COLUMN["source"]])) or "database",
        received_ms=received,
        exchange_ms=whole("timestamp_ms") or 0,
        last_price=exact("last_price"),
        volume=whole("volume"),
        bids=levels(depth[: 2 * DEPTH_LEVELS]),
        asks=levels(depth[2 * DEPTH_LEVELS :]),
        book_received_ms=received,
        band_low=low,
        band_high=high,
    )
