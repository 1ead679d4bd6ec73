"""Margin of futures and options by worst loss over scenarios, after the SPAN method. Pure.

An approximation, and it says so wherever it is shown: the exchange's own figures come from files
that it publishes several times a day with volatilities of its own. What is modelled:

- 16 scenarios of one trading day: the underlying moves by 0, ±1/3, ±2/3 or the whole of the price
  scan range while volatility rises or falls by the volatility scan range, and two extreme moves of
  twice the range of which 35 % of the loss counts;
- the price scan range is six daily deviations times √2, at least 9.3 % of the price for an index
  and 14.2 % for a share; the volatility scan range is a quarter of the volatility, at least 4 and
  10 points (NSE Clearing, SPAN risk parameters, July 2024);
- margin is the worst loss less the value of options held (a premium paid is not asked for twice,
  a premium received is kept as margin);
- positions in different expiries offset each other fully in a scenario, so a calendar-spread
  charge of 1.75 % (index) or 2.2 % (share) of the far leg is added;
- exposure margin on top: 2 % of the notional of futures and short options on an index, 3.5 % on
  a share.

A test holds it within 5 % of margins that brokers published for six NIFTY positions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

import numpy as np

from marketdata.options import pricing
from mockmarket.core.money import money

Kind = Literal["FUT", "CE", "PE"]

_MOVES: Final = (0.0, 1 / 3, -1 / 3, 2 / 3, -2 / 3, 1.0, -1.0)
_EXTREME_MOVE: Final = 2.0
_EXTREME_COVER: Final = 0.35
# Of each scenario: the move in scan ranges, the direction of volatility, the part of the loss.
_SCENARIOS: Final = np.array(
    [(move, direction, 1.0) for move in _MOVES for direction in (1.0, -1.0)]
    + [(sign * _EXTREME_MOVE, 0.0, _EXTREME_COVER) for sign in (1.0, -1.0)]
)
_HORIZON_YEARS: Final = 1.0 / 365.0
_DEVIATIONS: Final = 6.0 * math.sqrt(2.0)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Percentages of one class of underlying, as fractions."""

    price_scan_min: float
    volatility_scan: float
    volatility_scan_min: float
    exposure: float
    calendar_charge: float


INDEX: Final = Parameters(
    price_scan_min=0.093,
    volatility_scan=0.25,
    volatility_scan_min=0.04,
    exposure=0.02,
    calendar_charge=0.0175,
)
SHARE: Final = Parameters(
    price_scan_min=0.142,
    volatility_scan=0.25,
    volatility_scan_min=0.10,
    exposure=0.035,
    calendar_charge=0.022,
)


@dataclass(frozen=True, slots=True)
class Leg:
    """A position in one contract: `quantity` in units, negative when short; `price` in rupees.

    `years` to expiry; `strike` and `volatility` (a fraction a year) matter for options only.
    """

    kind: Kind
    quantity: int
    price: float
    years: float
    strike: float = 0.0
    volatility: float = 0.0


@dataclass(frozen=True, slots=True)
class Margin:
    """Rupees to hold against the legs of one underlying."""

    span: Decimal
    exposure: Decimal

    @property
    def total(self) -> Decimal:
        return self.span + self.exposure


def margin(
    legs: Sequence[Leg],
    *,
    spot: float,
    parameters: Parameters,
    daily_volatility: float = 0.0,
    rate: float = 0.065,
) -> Margin:
    """Margin of all `legs` of one underlying together, so that hedges count.

    Raises ValueError for a spot that is not positive. No legs need no margin.
    """
    if not spot > 0:
        raise ValueError(f"spot must be positive, was {spot}")
    if not legs:
        return Margin(money(0), money(0))
    worst = _worst_loss(legs, spot, parameters, daily_volatility, rate)
    held = sum(leg.quantity * leg.price for leg in legs if leg.kind != "FUT")
    span = max(worst - held, 0.0) + _calendar_charge(legs, spot, parameters, rate)
    notional = sum(
        abs(leg.quantity) * spot for leg in legs if leg.kind == "FUT" or leg.quantity < 0
    )
    return Margin(span=money(str(span)), exposure=money(str(notional * parameters.exposure)))


def _worst_loss(
    legs: Sequence[Leg], spot: float, parameters: Parameters, daily: float, rate: float
) -> float:
    """Rupees lost in the worst scenario, all scenarios and legs in one pass."""
    scan = max(_DEVIATIONS * daily, parameters.price_scan_min)
    after = spot * (1.0 + _SCENARIOS[:, 0] * scan)
    futures = sum(leg.quantity for leg in legs if leg.kind == "FUT")
    losses = -futures * (after - spot)
    options = [leg for leg in legs if leg.kind != "FUT"]
    if options:
        volatility = np.array([leg.volatility for leg in options])
        shift = np.maximum(parameters.volatility_scan * volatility, parameters.volatility_scan_min)
        values = pricing.price(
            spot=np.maximum(after, 1e-9)[:, None],
            strike=[leg.strike for leg in options],
            years=[max(leg.years - _HORIZON_YEARS, 0.0) for leg in options],
            volatility=np.maximum(volatility + _SCENARIOS[:, 1, None] * shift, 0.0),
            is_call=[leg.kind == "CE" for leg in options],
            rate=rate,
        )
        paid = np.array([leg.price for leg in options])
        losses = losses - (values - paid) @ np.array([leg.quantity for leg in options], dtype=float)
    return max(0.0, float((losses * _SCENARIOS[:, 2]).max()))


def _calendar_charge(
    legs: Sequence[Leg], spot: float, parameters: Parameters, rate: float
) -> float:
    """The charge on deltas of one expiry that offset those of another."""
    deltas: dict[float, float] = {}
    for leg in legs:
        delta = 1.0
        if leg.kind != "FUT":
            delta = float(
                pricing.greeks(
                    spot=spot,
                    strike=leg.strike,
                    years=leg.years,
                    volatility=leg.volatility,
                    is_call=leg.kind == "CE",
                    rate=rate,
                ).delta
            )
        deltas[leg.years] = deltas.get(leg.years, 0.0) + leg.quantity * delta
    values = np.array(list(deltas.values()))
    matched = min(float(values[values > 0].sum()), float(-values[values < 0].sum()))
    return matched * spot * parameters.calendar_charge
