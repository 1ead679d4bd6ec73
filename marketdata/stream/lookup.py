"""Instruments by key and by symbol, for subscriptions."""

from collections.abc import Collection
from typing import Final

from marketdata.models import Instrument

_SEGMENTS: Final = {"india_nse": ("NSE_EQ", "NSE_INDEX"), "india_bse": ("BSE_EQ", "BSE_INDEX")}


def known_keys(keys: Collection[str]) -> set[str]:
    """Those of `keys` that name an active instrument."""
    rows = Instrument.objects.filter(key__in=keys, active=True)
    return set(rows.values_list("key", flat=True))


def key_of_symbol(symbol: str, market: str) -> str | None:
    """The key of a share or index by its symbol in a market, None when there is none."""
    rows = Instrument.objects.filter(
        symbol=symbol.upper(), segment__in=_SEGMENTS[market], active=True
    ).order_by("segment", "key")
    return rows.values_list("key", flat=True).first()


def strip_keys() -> list[str]:
    """The indices of the strip, in its order."""
    from marketdata import universe

    return [row.key for row in universe.indices()]
