"""The only readers of market data for other apps, pages and the API."""

from marketdata.selectors.facts import (
    BOARD_AGE_MS_MAX,
    Facts,
    UnknownInstrument,
    calendar,
    forget,
    indices_with_members,
    instrument,
    instrument_by_symbol,
    instruments,
    market_status,
    members,
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
    "indices_with_members",
    "instrument",
    "instrument_by_symbol",
    "instruments",
    "market_status",
    "members",
    "movers",
    "quote",
    "quotes",
    "sectors",
    "universe",
]
