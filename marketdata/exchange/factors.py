"""What moves each listing, and how much: the market, its sector, its own walk. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from marketdata.exchange import noise
from marketdata.exchange.listing import VIX_KEY, Listing
from marketdata.exchange.noise import Floats, Words

# Daily standard deviations of the three factors.
MARKET: Final = 0.0075
SECTOR: Final = 0.0060
OWN: Final = 0.0105


class Factors:
    """Columns of walks, and each listing's loadings on them.

    `columns` names the market's walk, the sectors', then each listing's own. `weights`
    [shares, indices] sum to one in each column of an index with constituents; `alone` is one
    for an index without (a volatility index). `deviation` is a listing's daily standard
    deviation as a fraction of its price.
    """

    def __init__(self, listings: Sequence[Listing], names: Words) -> None:
        sectors = sorted({listing.sector for listing in listings if listing.sector})
        shared = ["market", *(f"sector {name}" for name in sectors)]
        is_index = np.array([listing.is_index for listing in listings])
        self.columns = np.concatenate([noise.columns(shared), names])
        self.shares: npt.NDArray[np.int64] = np.flatnonzero(~is_index)
        self.indices: npt.NDArray[np.int64] = np.flatnonzero(is_index)
        self.loadings = _loadings(listings, names, sectors)
        self.weights = self._weights(listings)
        self.alone: Floats = (self.weights.sum(axis=0) == 0).astype(np.float64)
        through = self.loadings.copy()
        through[self.indices] += self.weights.T @ self.loadings[self.shares]
        self.deviation: Floats = np.sqrt((through**2).sum(axis=1))

    def _weights(self, listings: Sequence[Listing]) -> Floats:
        weights = np.zeros((len(self.shares), len(self.indices)))
        place = {listings[row].key: number for number, row in enumerate(self.indices)}
        for number, row in enumerate(self.shares):
            for key, weight in listings[row].weights.items():
                if key in place:
                    weights[number, place[key]] = weight
        totals = weights.sum(axis=0)
        weights /= np.where(totals > 0, totals, 1)
        return weights


def _loadings(listings: Sequence[Listing], names: Words, sectors: Sequence[str]) -> Floats:
    place = {name: 1 + number for number, name in enumerate(sectors)}
    own = 1 + len(sectors)
    loadings = np.zeros((len(listings), own + len(listings)))
    spread = noise.uniforms(0, "loading", names, np.arange(3, dtype=np.int64))
    for row, listing in enumerate(listings):
        if listing.key == VIX_KEY:
            # Fear rises as the market falls, and has moods of its own.
            loadings[row, 0] = -4 * MARKET
            loadings[row, own + row] = 0.02
        elif not listing.is_index:
            loadings[row, 0] = MARKET * (0.7 + 0.6 * spread[row, 0])
            if listing.sector:
                loadings[row, place[listing.sector]] = SECTOR * (0.6 + 0.8 * spread[row, 1])
            loadings[row, own + row] = OWN * (0.7 + 0.8 * spread[row, 2])
    return loadings
