"""The simulated exchange's volatility surface over strike and time. Pure.

At the money it is the root of the mean variance that a returning variance leaves until expiry:
short expiries feel the day's mood in full, far ones little. The mood is that of the volatility
index, which speaks of 30 days; there the surface is as the index says.
"""

import hashlib
from typing import Final

import numpy as np

from marketdata.exchange.listing import VIX_USUAL, Listing
from marketdata.exchange.noise import Floats

# Half of a departure from the usual variance is forgotten in six weeks. Were it faster, the
# quietest index (half the usual volatility over 30 days) would ask for a variance below zero now.
_RETURN: Final = 6.0
_INDEX_YEARS: Final = 30 / 365
# The smile is measured in deviations until expiry, of two days at least.
_YEARS_MIN: Final = 2 / 365


def usual(underlying: Listing) -> float:
    """The volatility to which an underlying's returns."""
    if underlying.is_index:
        return {"NIFTY": 0.125, "BANKNIFTY": 0.14, "MIDCPNIFTY": 0.165}.get(underlying.symbol, 0.14)
    spread = hashlib.blake2b(underlying.key.encode(), digest_size=1).digest()[0] / 255
    return 0.20 + 0.10 * spread


def surface(
    *, spot: Floats, strike: Floats, years: Floats, usual: Floats, vix: Floats | float
) -> Floats:
    """Volatilities: a smile, dearer below, around the volatility at the money. Arrays broadcast."""
    middle = at_the_money(years=years, usual=usual, vix=vix)
    deviation = middle * np.sqrt(np.maximum(years, _YEARS_MIN))
    away = np.clip(np.log(strike / spot) / deviation, -4, 4)
    volatility: Floats = middle * (1 - 0.045 * away + 0.014 * away**2)
    return volatility


def at_the_money(*, years: Floats, usual: Floats, vix: Floats | float) -> Floats:
    """The volatility at the money until an expiry, where the index stands at `vix`."""
    over_index = (usual * (0.5 + 0.5 * np.asarray(vix) / VIX_USUAL)) ** 2
    departure = (over_index - usual**2) / _remaining(np.float64(_INDEX_YEARS))
    volatility: Floats = np.sqrt(usual**2 + departure * _remaining(years))
    return volatility


def _remaining(years: Floats | np.float64) -> Floats:
    """The mean part of a departure that is left over `years`: 1 now, less and less later."""
    passed = _RETURN * np.maximum(years, 1e-9)
    left: Floats = -np.expm1(-passed) / passed
    return left
