"""What is known of instruments and the calendar, and the market's status."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.db.models import Q, QuerySet

from marketdata import calendar as rows_of_calendar
from marketdata import sessions, status
from marketdata.mirror import mirror
from marketdata.models import IndexMember, Instrument
from mockmarket.core import clock
from mockmarket.core.errors import NotFound

# How long facts of the database (universe, sectors, calendar) are kept in the process.
FACTS_SECONDS: Final = 30.0
# A board older than this has lost its engine: its prices are a cache.
BOARD_AGE_MS_MAX: Final = 10_000


class UnknownInstrument(NotFound):
    """No instrument has this key or symbol."""

    code = "unknown_instrument"


# --- Instruments ------------------------------------------------------------------------
def instruments(
    *, search: str = "", segment: str = "", sector: str = "", universe_only: bool = False
) -> QuerySet[Instrument]:
    """Active instruments, shares before the rest, by symbol.

    `search` matches the beginning of a symbol, any part of a name, or an ISIN.
    """
    found = Instrument.objects.filter(active=True)
    if search:
        found = found.filter(
            Q(symbol__istartswith=search) | Q(name__icontains=search) | Q(isin__iexact=search)
        )
    if segment:
        found = found.filter(segment=segment)
    if sector:
        found = found.filter(sector=sector)
    if universe_only:
        found = found.filter(in_universe=True)
    return found.order_by("-in_universe", "symbol", "pk")


def instrument(key: str) -> Instrument:
    """The instrument of a key; raises UnknownInstrument."""
    try:
        return Instrument.objects.get(key=key)
    except Instrument.DoesNotExist:
        raise UnknownInstrument(f"There is no instrument {key!r}.") from None


def instrument_by_symbol(symbol: str) -> Instrument:
    """The instrument of a symbol: a share or index, NSE before BSE, else a contract that was ever
    listed (a position outlives its listing). Raises UnknownInstrument."""
    named = Instrument.objects.filter(symbol__iexact=symbol)
    found = named.filter(Q(segment__endswith="_EQ") | Q(segment__endswith="_INDEX"), active=True)
    contracts = named.filter(segment__endswith="_FO")
    best = found.order_by("-in_universe", "-exchange", "pk").first() or (
        contracts.order_by("-active", "pk").first()
    )
    if best is None:
        raise UnknownInstrument(f"There is no share, index or contract {symbol!r}.")
    return best


@dataclass(frozen=True, slots=True)
class Facts:
    """What lists need of an instrument, kept in the process for half a minute."""

    key: str
    symbol: str
    name: str
    segment: str
    sector: str


class _Kept:
    """Facts of the database, read again when they are old."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at = -1e9
        self.universe: dict[str, Facts] = {}
        self.members: dict[str, dict[str, float]] = {}
        self.calendar = sessions.ALWAYS_OPEN

    def fresh(self) -> "_Kept":
        if clock.monotonic() - self.read_at > FACTS_SECONDS:
            with self.lock:
                if clock.monotonic() - self.read_at > FACTS_SECONDS:
                    self._read()
        return self

    def _read(self) -> None:
        columns = ("key", "symbol", "name", "segment", "sector")
        rows = Instrument.objects.filter(in_universe=True, active=True).values_list(*columns)
        self.universe = {row[0]: Facts(*row) for row in rows}
        members: dict[str, dict[str, float]] = {}
        weights = IndexMember.objects.values_list("index__key", "instrument__key", "weight")
        for index, key, weight in weights.order_by("pk"):
            members.setdefault(index, {})[key] = weight
        self.members = members
        self.calendar = rows_of_calendar.read()
        self.read_at = clock.monotonic()


_kept = _Kept()


def forget() -> None:
    """Read the database's facts anew at the next call: after an import, in tests."""
    _kept.read_at = -1e9


def universe() -> Mapping[str, Facts]:
    """The listed universe by key."""
    return _kept.fresh().universe


def members(index_key: str) -> Mapping[str, float]:
    """Weight in percent by key of the shares in an index; empty when it has none."""
    return _kept.fresh().members.get(index_key, {})


def indices_with_members() -> list[Facts]:
    """The listed indices that have members."""
    kept = _kept.fresh()
    return [facts for key, facts in kept.universe.items() if key in kept.members]


# --- Calendar and status ----------------------------------------------------------------
def calendar() -> sessions.Calendar:
    """The calendar, at most half a minute old."""
    return _kept.fresh().calendar


def market_status(*, at: datetime) -> dict[str, Any]:
    """`status`, `message`, `source`, `source_label`, `phase`, `phases` by market, `as_of`,
    `next_open`: the engine's word while it is alive, else `disconnected` or `closed`."""
    copy = mirror()
    copy.refresh()
    word = dict(copy.status)
    if not word or clock.to_ms(at) - copy.at_ms > BOARD_AGE_MS_MAX:
        built = status.build(
            at=at,
            calendar=calendar(),
            source=settings.MARKET_SOURCE,
            connected=False,
            newest_ms=copy.at_ms or None,
            quiet_ms=None,
            reason="The market engine is not running; prices are the last known.",
        )
        word = {name: getattr(built, name) for name in built.__struct_fields__}
    word["phases"] = {
        market: sessions.phase(market=market, at=at, calendar=calendar()).value
        for market in sessions.MARKETS
    }
    return word
