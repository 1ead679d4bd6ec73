"""The "gamma blast" figure: how likely a large move is in the next minutes, and how often it was.

The model, in one paragraph. Over `minutes` the spot is taken to move as a normal variable whose
standard deviation is spot x volatility x root of time, where time counts trading minutes only.
Hedging changes that: where dealers are short gamma they must buy what rises and sell what falls.
The deviation is therefore stretched by `1 + sensitivity * pressure`, where pressure is between
-1 and 1: total negative gamma exposure over total absolute gamma exposure near the spot, times how
near expiry is. The figure is the probability that, at some time within the minutes, the spot stands
further away than `threshold`, a multiple of the unstretched deviation, in either direction: the
probability that a Brownian path leaves that corridor.

A probability means nothing without its record. `Record` keeps forecasts with what happened and
gives the hit rate, the base rate and the Brier score beside those of always saying the base rate;
the page shows all of them. Where the record is no better than its base rate, it says so.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from marketdata.options import analytics
from marketdata.options.chain import Chain

TRADING_MINUTES_PER_YEAR = 252 * 375
SENSITIVITY = 0.6
THRESHOLD = 1.5
MINUTES = 30
NEAR = 0.02  # strikes within 2 % of spot carry the hedging of the next half hour
EXPIRY_SCALE_DAYS = 3.0


def _two_sided(deviations: float) -> float:
    """P(|Z| > deviations)."""
    return math.erfc(deviations / math.sqrt(2.0))


def _leaves_corridor(deviations: float) -> float:
    """P(max |W| > deviations) of a Brownian path over unit time.

    By reflection where the corridor is wide, by the decay of the heat equation where it is
    narrow: either series is exact to 1e-12 after three terms on its side of 1.
    """
    if deviations >= 1.0:
        return 2 * math.fsum((-1.0) ** k * _two_sided((2 * k + 1) * deviations) for k in range(4))
    rate = (math.pi / deviations) ** 2 / 8
    stays = math.fsum(
        (-1.0) ** k / (2 * k + 1) * math.exp(-((2 * k + 1) ** 2) * rate) for k in range(4)
    )
    return 1.0 - 4 / math.pi * stays


BASE_RATE_MODEL = _leaves_corridor(THRESHOLD)
# From here on a figure is an alert: half as much again as without any pressure.
ALERT_FROM = 1.5 * BASE_RATE_MODEL


@dataclass(frozen=True, slots=True)
class Forecast:
    """`probability` that the spot moves by more than `move` rupees within `minutes`."""

    probability: float
    move: float
    minutes: int
    pressure: float
    volatility: float


def forecast(chain: Chain, *, minutes: int = MINUTES) -> Forecast | None:
    """Today's figure for a chain; None when it has no at-the-money volatility or no interest."""
    volatility = analytics.volatility_at_the_money(chain)
    exposure = analytics.gamma_exposure(chain)
    near = np.abs(chain.strikes / chain.spot - 1.0) <= NEAR
    gross = float(np.abs(exposure[near]).sum())
    if volatility is None or volatility <= 0 or gross <= 0:
        return None
    days = chain.years * 365.0
    nearness = 1.0 / (1.0 + max(days, 0.0) / EXPIRY_SCALE_DAYS)
    pressure = -float(exposure[near].sum()) / gross * nearness
    deviation = chain.spot * volatility * math.sqrt(minutes / TRADING_MINUTES_PER_YEAR)
    stretched = 1.0 + SENSITIVITY * pressure
    return Forecast(
        probability=_leaves_corridor(THRESHOLD / stretched),
        move=THRESHOLD * deviation,
        minutes=minutes,
        pressure=pressure,
        volatility=volatility,
    )


@dataclass(frozen=True, slots=True)
class Record:
    """How forecasts have done. Rates are fractions; `hit_rate` is of forecasts above the cut."""

    forecasts: int
    alerts: int
    hit_rate: float | None
    base_rate: float | None
    brier: float | None
    brier_of_base_rate: float | None

    @property
    def useful(self) -> bool:
        """Whether alerts came true more often than moves come anyway, and the score agrees."""
        return (
            self.hit_rate is not None
            and self.base_rate is not None
            and self.brier is not None
            and self.brier_of_base_rate is not None
            and self.hit_rate > self.base_rate
            and self.brier < self.brier_of_base_rate
        )


def record(outcomes: Iterable[tuple[float, bool]], *, cut: float = ALERT_FROM) -> Record:
    """The record of (probability, whether it happened) pairs; an alert is a probability ≥ `cut`."""
    pairs = list(outcomes)
    if not pairs:
        return Record(0, 0, None, None, None, None)
    probabilities = np.array([probability for probability, _ in pairs])
    happened = np.array([bool(outcome) for _, outcome in pairs], dtype=float)
    base = float(happened.mean())
    alerts = probabilities >= cut
    return Record(
        forecasts=len(pairs),
        alerts=int(alerts.sum()),
        hit_rate=float(happened[alerts].mean()) if alerts.any() else None,
        base_rate=base,
        brier=float(((probabilities - happened) ** 2).mean()),
        brier_of_base_rate=float(((base - happened) ** 2).mean()),
    )
