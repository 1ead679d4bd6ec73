"""Lists of the whole market: the strip, movers, breadth, sectors."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from marketdata import movers as ranking
from marketdata.board import COLUMN, SOURCE_CODES
from marketdata.interest import STRIP
from marketdata.mirror import mirror
from marketdata.models import LastPrice
from marketdata.selectors.facts import BOARD_AGE_MS_MAX, Facts, universe
from marketdata.selectors.prices import QuoteView, quotes, view
from mockmarket.core import clock


@dataclass(frozen=True, slots=True)
class Listed:
    """An instrument with its quote."""

    instrument: Facts
    quote: QuoteView


def indices(at: datetime) -> list[Listed]:
    """The nine indices of the strip, in its order; those without a price left out."""
    facts = universe()
    found = quotes(STRIP, at)
    return [Listed(facts[key], found[key]) for key in STRIP if key in found and key in facts]


def _share_table() -> tuple[list[Facts], npt.NDArray[np.float64]]:
    """The universe's shares that the board knows, and their FIELDS."""
    copy = mirror()
    copy.refresh()
    keys, values = copy.table() if copy.keys else _kept_table()
    rows, shares = _places(keys, universe())
    return shares, values[rows]


# Board keys, facts and what was found for them: both seldom change, and every list asks.
_found: list[tuple[list[str], Mapping[str, Facts], list[int], list[Facts]]] = []


def _places(keys: list[str], facts: Mapping[str, Facts]) -> tuple[list[int], list[Facts]]:
    """Rows of the universe's shares in the board, and the shares."""
    for known, of, rows, shares in _found:
        if of is facts and known == keys:
            return rows, shares
    rows = [
        row for row, key in enumerate(keys) if key in facts and facts[key].segment.endswith("_EQ")
    ]
    shares = [facts[keys[row]] for row in rows]
    _found[:] = [(keys, facts, rows, shares)]
    return rows, shares


def _kept_table() -> tuple[list[str], npt.NDArray[np.float64]]:
    """The database's last prices as a board: the end of the fallback chain for lists."""
    names = ("last_price", "previous_close", "open", "high", "low", "volume")
    rows = LastPrice.objects.filter(instrument__in_universe=True).values_list(
        "instrument__key", "traded_at", "stored_at", *names
    )
    found = list(rows)
    values = np.full((len(found), len(COLUMN)), np.nan)
    for position, (_, traded_at, stored_at, *prices) in enumerate(found):
        for name, value in zip(names, prices, strict=True):
            values[position, COLUMN[name]] = np.nan if value is None else float(value)
        values[position, COLUMN["timestamp_ms"]] = clock.to_ms(traded_at)
        values[position, COLUMN["received_ms"]] = clock.to_ms(stored_at)
        values[position, COLUMN["source"]] = SOURCE_CODES["database"]
    return [row[0] for row in found], values


def movers(*, kind: ranking.Kind, at: datetime, limit: int = 10) -> list[Listed]:
    """Gainers, losers, or the most active by value or volume, strongest first."""
    shares, values = _share_table()
    return _listed(shares, values, ranking.top(values=values, kind=kind, limit=limit), at)


def _listed(
    shares: Sequence[Facts],
    values: npt.NDArray[np.float64],
    positions: Iterable[int],
    at: datetime,
) -> list[Listed]:
    copy = mirror()
    stale = bool(copy.keys) and clock.to_ms(at) - copy.at_ms > BOARD_AGE_MS_MAX
    source = "cache" if stale else ""
    return [
        Listed(shares[p], view(shares[p].key, values[p].tolist(), at, source=source))
        for p in positions
    ]


def breadth() -> ranking.Breadth:
    """Advances and declines of the universe."""
    return ranking.breadth(values=_share_table()[1])


@dataclass(frozen=True, slots=True)
class SectorView:
    """One sector with its members, best first."""

    name: str
    change_percent: float
    advances: int
    declines: int
    turnover: float
    members: list[Listed]


def sectors(*, at: datetime) -> list[SectorView]:
    """Sectors by turnover-weighted change, best first."""
    shares, values = _share_table()
    found = ranking.sectors(values=values, names=[share.sector for share in shares])
    return [
        SectorView(
            name=sector.name,
            change_percent=sector.change_percent,
            advances=sector.advances,
            declines=sector.declines,
            turnover=sector.turnover,
            members=_listed(shares, values, sector.members, at),
        )
        for sector in found
    ]
