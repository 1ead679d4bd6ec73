"""The only readers of market data for other apps, pages and the API."""

from marketdata.selectors.facts import (
    BOARD_AGE_MS_MAX,
    Facts,
    UnknownInstrument,
    calendar,
    forget,
    instrument,
    instrument_by_symbol,
    instruments,
    market_status,
    universe,
)
from marketdata.selectors.lists import (
    Listed,
    SectorView,
    breadth,
    indices,
    movers,
    sectors,
)
from marketdata.selectors.prices import (
    PERCENT,
    QuoteView,
    board_rows,
    depth,
    quote,
    quotes,
)

__all__ = [
    "BOARD_AGE_MS_MAX",
    "PERCENT",
    "Facts",
    "Listed",
    "QuoteView",
    "SectorView",
    "UnknownInstrument",
    "board_rows",
    "breadth",
    "calendar",
    "depth",
    "forget",
    "indices",
    "instrument",
    "instrument_by_symbol",
    "instruments",
    "market_status",
    "movers",
    "quote",
    "quotes",
    "sectors",
    "universe",
]
