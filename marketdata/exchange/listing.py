"""What the simulated exchange lists, and how its shares were split. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction

import msgspec

from marketdata.universe import UniverseRow

VIX_KEY = "NSE_INDEX|India VIX"
# Its reference in the bundled universe, to which its path returns: there volatilities are usual.
VIX_USUAL = 13.5
BAND = 0.10  # the simulated price band around the previous close, as for shares with F&O


@dataclass(frozen=True, slots=True)
class Listing:
    """One listed instrument. `reference` is the price its path returns to, in rupees.

    `weights` maps an index's key to this share's weight there. `volume` is a usual day's.
    """

    key: str
    symbol: str
    name: str
    sector: str
    reference: float
    tick: float
    lot: int
    volume: float
    weights: dict[str, float] = field(default_factory=dict)
    isin: str = ""
    exchange: str = "NSE"
    exchange_token: str = ""
    instrument_type: str = "EQ"
    freeze_quantity: int = 0
    fo_lot: int = 0

    @property
    def is_index(self) -> bool:
        return self.key.split("|")[0].endswith("_INDEX")

    @property
    def cas_eligible(self) -> bool:
        """Whether it closes by auction: shares with derivatives, and the indices with them."""
        return self.is_index or (self.fo_lot > 0 and self.segment == "NSE_EQ")

    @property
    def segment(self) -> str:
        return self.key.split("|")[0]

    @property
    def label(self) -> str:
        """The name that quote maps use: SEGMENT:TRADING_SYMBOL."""
        return f"{self.segment}:{self.symbol}"


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`numerator` shares of `key` after for each `denominator` before. `day` is the last session
    whose contracts were listed before it; None in files from before this was noted."""

    id: str
    key: str
    numerator: int
    denominator: int
    day: date | None = None

    @property
    def factor(self) -> Fraction:
        """Shares after for each before."""
        return Fraction(self.numerator, self.denominator)


def from_universe(rows: Sequence[UniverseRow]) -> list[Listing]:
    """The bundled universe as listings, in its order."""
    return [
        Listing(
            key=row.key,
            symbol=row.symbol,
            name=row.name,
            sector=row.sector,
            reference=float(row.close),
            tick=0.01 if row.key == VIX_KEY else float(row.tick_size),
            lot=row.lot_size,
            volume=float(row.volume),
            weights=dict(row.weights),
            isin=row.isin,
            exchange=row.exchange,
            exchange_token=row.exchange_token,
            instrument_type=row.instrument_type,
            freeze_quantity=row.freeze_quantity,
            fo_lot=row.fo_lot_size,
        )
        for row in rows
    ]
