"""Prices of the simulated exchange's futures and options.

A contract's price follows from its underlying's price, the volatility index and one smooth
surface over strike and time, so calls and puts keep parity and the volatility that a reader
solves from a price is the one that is sent. Nothing is stored: a contract's past is computed
from its underlying's past.
"""

from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from marketdata.exchange import contracts, noise, volatility
from marketdata.exchange.contracts import TICK
from marketdata.exchange.listing import VIX_KEY, VIX_USUAL
from marketdata.exchange.noise import Floats
from marketdata.exchange.prices import Market
from marketdata.options import pricing
from mockmarket.core.clock import IST

Rows = npt.NDArray[np.int64]

RATE: Final = 0.065
EXPIRY_TIME: Final = time(15, 30)


@dataclass(frozen=True, slots=True)
class Values:
    """Prices and sensitivities of some contracts at one instant, one row each.

    `volatility` is a fraction. Greeks are in the units of options.pricing.
    """

    price: Floats
    volatility: Floats
    greeks: pricing.Greeks


class Board:
    """All contracts listed on one day, as columns."""

    def __init__(self, *, market: Market, seed: int, day: date) -> None:
        self.day = day
        self.splits = market.splits
        self._market = market
        self._seed = seed
        self.contracts = contracts.listed(market, day)
        self.rows = {contract.listing.key: n for n, contract in enumerate(self.contracts)}
        self.names = noise.columns(list(self.rows))
        self.tick = np.full(len(self.contracts), TICK)
        self.lot = np.array([c.listing.lot for c in self.contracts], dtype=np.int64)
        self.spot_row = np.array(
            [market.rows[c.underlying.key] for c in self.contracts], dtype=np.int64
        )
        self.strike = np.array([c.strike for c in self.contracts])
        self.is_call = np.array([c.kind == "CE" for c in self.contracts])
        self.is_future = np.array([c.kind == "FUT" for c in self.contracts])
        self.expires_ms = np.array([_close_ms(c.expiry) for c in self.contracts], dtype=np.float64)
        self._usual = np.array([volatility.usual(c.underlying) for c in self.contracts])

    def values(
        self, rows: Rows, *, spot: Floats, vix: Floats | float, at_ms: Floats | float
    ) -> Values:
        """Prices of `rows` where their underlyings stand at `spot`. Arrays broadcast."""
        years = np.maximum(self.expires_ms[rows] - at_ms, 0) / (365 * 86_400_000)
        strike = np.where(self.is_future[rows], spot, self.strike[rows])
        surface = volatility.surface(
            spot=spot, strike=strike, years=years, usual=self._usual[rows], vix=vix
        )
        greeks = pricing.greeks(
            spot=spot,
            strike=strike,
            years=years,
            volatility=surface,
            is_call=self.is_call[rows],
            rate=RATE,
        )
        forward = spot * np.exp(RATE * years)
        price = np.where(self.is_future[rows], forward, greeks.price)
        return Values(np.maximum(np.rint(price / TICK), 1) * TICK, surface, greeks)

    def interest(self, rows: Rows, *, part: float) -> tuple[Floats, Floats, Floats]:
        """(volume, open interest, yesterday's open interest) when `part` of the day's trade is
        done, in units."""
        volume, before, after = (column[rows] for column in self._flow)
        lot = self.lot[rows]
        now = np.rint(before + (after - before) * part)
        return np.floor(volume * part) * lot, now * lot, before * lot

    @cached_property
    def usual_volume(self) -> Floats:
        """Units that trade on this day."""
        volume: Floats = self._flow[0] * self.lot
        return volume

    @cached_property
    def previous_closes(self) -> Floats:
        """Closing prices of the session before, from its closing spots."""
        hours = self._market.hours
        vix_row = self._market.rows.get(VIX_KEY)
        vix = self._market.previous_close(vix_row, self.day) if vix_row is not None else VIX_USUAL
        closed_ms = hours.close_ms(hours.previous(self.day))
        rows = np.arange(len(self.contracts), dtype=np.int64)
        return self.values(rows, spot=self._spot_closes, vix=vix, at_ms=float(closed_ms)).price

    @cached_property
    def _flow(self) -> tuple[Floats, Floats, Floats]:
        """Lots: traded this day, open the day before, open at its end. Most near the money and
        in the nearest expiry."""
        market, close = self._market, self._spot_closes
        away = np.where(self.is_future, 0, (self.strike - close) / (close * 0.035))
        near = np.exp(-0.5 * away**2) + 0.02
        today = self.day.toordinal() - date(1970, 1, 1).toordinal()
        days = np.maximum(self.expires_ms / 86_400_000 - today, 1)
        size = 8_000 * near / np.sqrt(days) * np.where(market.is_index[self.spot_row], 4, 1)
        index = np.array([self.day.toordinal() - 1, self.day.toordinal()])
        moods = np.exp(0.35 * noise.normals(self._seed, "interest", self.names, index))
        before, after = np.rint(size * 6 * moods[:, 0]), np.rint(size * 6 * moods[:, 1])
        return np.rint(size * 3 * moods[:, 1]), before, after

    @cached_property
    def _spot_closes(self) -> Floats:
        """The underlyings' previous closes, one a contract."""
        closes = {
            row: self._market.previous_close(row, self.day) for row in set(self.spot_row.tolist())
        }
        return np.array([closes[row] for row in self.spot_row.tolist()])


def _close_ms(expiry: date) -> float:
    return datetime.combine(expiry, EXPIRY_TIME, tzinfo=IST).timestamp() * 1000
