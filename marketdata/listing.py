"""Rows of instruments with their prices, as the pages list them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from marketdata import selectors
from marketdata.board import COLUMN
from marketdata.mirror import mirror
from marketdata.models import Instrument, LastPrice
from marketdata.selectors import Facts, Listed, QuoteView

PRICE_FIELDS = ("last_price", "previous_close", "volume", "low", "high")


@dataclass(frozen=True, slots=True)
class Row:
    """An instrument in a list."""

    key: str
    symbol: str
    name: str
    sector: str
    exchange: str
    quote: QuoteView | None
    label: str = ""

    @property
    def tradable(self) -> bool:
        return "_INDEX|" not in self.key


BLANK = Row(key="", symbol="", name="", sector="", exchange="", quote=None)


def row(facts: Facts | Instrument, quote: QuoteView | None) -> Row:
    """A row of what is known about an instrument and its quote."""
    return Row(
        key=facts.key,
        symbol=facts.symbol,
        name=facts.name,
        sector=facts.sector,
        exchange=facts.key.partition("_")[0],
        quote=quote,
        label=facts.name if "_INDEX|" in facts.key else facts.symbol,
    )


def rows(instruments: Iterable[Facts | Instrument], *, at: datetime) -> list[Row]:
    """Rows in the given order, with the newest quotes."""
    wanted = list(instruments)
    quotes = selectors.quotes([one.key for one in wanted], at)
    return [row(one, quotes.get(one.key)) for one in wanted]


def listed(found: Sequence[Listed]) -> list[Row]:
    """Rows of what the selectors listed."""
    return [row(one.instrument, one.quote) for one in found]


@dataclass(frozen=True, slots=True)
class Filters:
    """What the market page is narrowed to. Prices in rupees."""

    q: str = ""
    index: str = ""
    sector: str = ""
    price_min: Decimal | None = None
    price_max: Decimal | None = None

    @classmethod
    def parse(cls, values: Any) -> "Filters":
        """From a query string; what cannot be read does not filter."""
        return cls(
            q=values.get("q", "").strip()[:60],
            index=values.get("index", "")[:64],
            sector=values.get("sector", "")[:60],
            price_min=_amount(values.get("min", "")),
            price_max=_amount(values.get("max", "")),
        )


def _amount(text: str) -> Decimal | None:
    try:
        value = Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


@dataclass(frozen=True, slots=True)
class Light:
    """A share of the market list as plain numbers: 2,200 of them are made for one answer."""

    facts: Facts
    last_price: float | None = None
    previous_close: float | None = None
    volume: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def change(self) -> float | None:
        if self.last_price is None or not self.previous_close:
            return None
        return round(self.last_price - self.previous_close, 2)

    @property
    def change_percent(self) -> float | None:
        if self.last_price is None or not self.previous_close:
            return None
        return round((self.last_price / self.previous_close - 1) * 100, 2)

    def as_list(self) -> list[Any]:
        """In the order that static/js/market.js reads."""
        return [
            self.facts.key,
            self.facts.symbol,
            self.facts.name,
            self.facts.sector,
            self.last_price,
            self.change,
            self.change_percent,
            self.volume,
            self.low,
            self.high,
        ]


def market(*, filters: Filters) -> list[Light]:
    """The listed shares that pass the filters, by symbol."""
    shares = _matching(filters)
    prices = _prices([share.key for share in shares])
    found = [Light(share, *prices.get(share.key, ())) for share in shares]
    if filters.price_min is not None:
        found = [x for x in found if x.last_price is not None and x.last_price >= filters.price_min]
    if filters.price_max is not None:
        found = [x for x in found if x.last_price is not None and x.last_price <= filters.price_max]
    return found


def _matching(filters: Filters) -> list[Facts]:
    members = selectors.members(filters.index) if filters.index else None
    text = filters.q.casefold()
    return sorted(
        (
            share
            for share in selectors.universe().values()
            if share.segment.endswith("_EQ")
            and (members is None or share.key in members)
            and (not filters.sector or share.sector == filters.sector)
            and (not text or text in share.symbol.casefold() or text in share.name.casefold())
        ),
        key=lambda share: (
            bool(text) and not share.symbol.casefold().startswith(text),
            share.symbol,
        ),
    )


def _prices(keys: Sequence[str]) -> dict[str, tuple[float | None, ...]]:
    """PRICE_FIELDS by key: the board's, else the database's."""
    copy = mirror()
    copy.refresh()
    wanted = [COLUMN[name] for name in PRICE_FIELDS]
    found: dict[str, tuple[float | None, ...]] = {}
    for key, values in copy.rows(keys).items():
        row = tuple(None if value != value else value for value in values[wanted].tolist())
        if row[0] is not None:
            found[key] = row
    missing = [key for key in keys if key not in found]
    if missing:
        kept = LastPrice.objects.filter(instrument__key__in=missing)
        for key, *prices in kept.values_list("instrument__key", *PRICE_FIELDS):
            found[key] = tuple(None if price is None else float(price) for price in prices)
    return found


def sectors() -> list[str]:
    """The sectors of the listed shares, by name."""
    return sorted({share.sector for share in selectors.universe().values() if share.sector})


def heaviest(*, index_key: str, limit: int, at: datetime) -> list[Row]:
    """The heaviest shares of an index, for who has no list of their own yet."""
    weights = selectors.members(index_key)
    facts = selectors.universe()
    keys = sorted((key for key in weights if key in facts), key=lambda key: -weights[key])[:limit]
    return rows([facts[key] for key in keys], at=at)
