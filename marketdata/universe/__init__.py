"""The bundled universe: the index strip, the NIFTY 50 and the most traded further shares.

Facts of two public sources, in a table of our own (`instruments.csv`, `members.csv`): symbols,
names, ISINs, sectors and lots of NSE, ticks of Upstox's instrument file. `close` is the share's
close of CLOSE_DATE; the levels of the indices and the members' weights are approximations, good
enough to move a simulated index like the real one and stated by no page as NSE's.
"""

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from importlib import resources
from types import MappingProxyType

CLOSE_DATE = date(2026, 6, 25)


@dataclass(frozen=True, slots=True)
class UniverseRow:
    """One instrument. Prices in rupees; `volume` is what traded on CLOSE_DATE.

    `fo_lot_size` is the lot of its futures and options, 0 where there are none. `weights` maps
    the keys of the indices it belongs to, to its weight in percent.
    """

    key: str
    symbol: str
    name: str
    isin: str
    exchange: str
    segment: str
    instrument_type: str
    exchange_token: str
    sector: str
    tick_size: Decimal
    lot_size: int
    freeze_quantity: int
    fo_lot_size: int
    close: Decimal
    volume: int
    weights: MappingProxyType[str, float]

    @property
    def is_index(self) -> bool:
        return self.segment.endswith("_INDEX")


@cache
def load() -> tuple[UniverseRow, ...]:
    """The whole table: first the indices in the order of the strip, then shares, NIFTY 50 first."""
    weights: dict[str, dict[str, float]] = {}
    for row in _read("members.csv"):
        weights.setdefault(row["symbol"], {})[row["index_key"]] = float(row["weight"])
    return tuple(
        UniverseRow(
            key=row["key"],
            symbol=row["symbol"],
            name=row["name"],
            isin=row["isin"],
            exchange=row["exchange"],
            segment=row["segment"],
            instrument_type=row["instrument_type"],
            exchange_token=row["exchange_token"],
            sector=row["sector"],
            tick_size=Decimal(row["tick_size"]),
            lot_size=int(row["lot_size"]),
            freeze_quantity=int(row["freeze_quantity"]),
            fo_lot_size=int(row["fo_lot_size"]),
            close=Decimal(row["close"]),
            volume=int(row["volume"]),
            weights=MappingProxyType(weights.get(row["symbol"], {})),
        )
        for row in _read("instruments.csv")
    )


def indices() -> tuple[UniverseRow, ...]:
    """The nine indices of the strip, in its order."""
    return tuple(row for row in load() if row.is_index)


def _read(name: str) -> list[dict[str, str]]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
