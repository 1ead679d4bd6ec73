"""What a chain says: ratios, pain, build-up, skew, gamma exposure. Pure functions.

Each docstring is the definition that the page shows. Nothing here is advice: every figure is a
reading of prices and open interest, with the age of its inputs beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from marketdata.options import pricing
from marketdata.options.chain import Chain, Floats, Side


def _total(values: Floats) -> float:
    return float(np.nansum(values))


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0 else None


def put_call_ratio_interest(chain: Chain) -> float | None:
    """Open interest of all puts over that of all calls; None when no call is open."""
    return _ratio(_total(chain.puts.open_interest), _total(chain.calls.open_interest))


def put_call_ratio_volume(chain: Chain) -> float | None:
    """Today's volume of all puts over that of all calls; None when no call has traded."""
    return _ratio(_total(chain.puts.volume), _total(chain.calls.volume))


def writers_payout(chain: Chain) -> Floats:
    """Rupees that option writers would pay at expiry if the spot settled on each strike."""
    settle = chain.strikes[:, None]
    calls = np.maximum(settle - chain.strikes, 0.0) * np.nan_to_num(chain.calls.open_interest)
    puts = np.maximum(chain.strikes - settle, 0.0) * np.nan_to_num(chain.puts.open_interest)
    return np.asarray((calls + puts).sum(axis=1), dtype=np.float64)


def max_pain(chain: Chain) -> float | None:
    """The strike at which writers would pay least; the lowest of equals; None without interest."""
    if _total(chain.calls.open_interest) + _total(chain.puts.open_interest) <= 0:
        return None
    return float(chain.strikes[int(np.argmin(writers_payout(chain)))])


class BuildUp(StrEnum):
    """Quadrant of price change and open-interest change since the previous close."""

    LONG_BUILD_UP = "long_build_up"  # price up, interest up: new buyers
    SHORT_BUILD_UP = "short_build_up"  # price down, interest up: new sellers
    SHORT_COVERING = "short_covering"  # price up, interest down: sellers leave
    LONG_UNWINDING = "long_unwinding"  # price down, interest down: buyers leave
    NEUTRAL = "neutral"  # one of the two did not move, or is unknown


def build_up(side: Side) -> list[BuildUp]:
    """The quadrant of each strike."""
    quadrants = {
        (1, 1): BuildUp.LONG_BUILD_UP,
        (-1, 1): BuildUp.SHORT_BUILD_UP,
        (1, -1): BuildUp.SHORT_COVERING,
        (-1, -1): BuildUp.LONG_UNWINDING,
    }
    price_sign = np.sign(np.nan_to_num(side.change)).astype(int)
    interest_sign = np.sign(np.nan_to_num(side.open_interest_change)).astype(int)
    return [
        quadrants.get((int(price), int(interest)), BuildUp.NEUTRAL)
        for price, interest in zip(price_sign, interest_sign, strict=True)
    ]


def _interpolated(x: Floats, y: Floats, at: float) -> float | None:
    """Linear value of y at x = `at`, None outside the known range."""
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if x.size < 2:
        return None
    order = np.argsort(x)
    x, y = x[order], y[order]
    if not x[0] <= at <= x[-1]:
        return None
    return float(np.interp(at, x, y))


def volatility_at_the_money(chain: Chain) -> float | None:
    """Implied volatility at the spot: the mean of call and put, linear between strikes."""
    both = np.stack([chain.calls.volatility, chain.puts.volatility])
    counted = np.isfinite(both).sum(axis=0)
    mean = np.where(counted > 0, np.nansum(both, axis=0) / np.maximum(counted, 1), np.nan)
    return _interpolated(chain.strikes, mean, chain.spot)


@dataclass(frozen=True, slots=True)
class Skew:
    """Volatilities of equally likely wings, as fractions a year."""

    call_25_delta: float | None
    put_25_delta: float | None
    risk_reversal: float | None


def skew(chain: Chain) -> Skew:
    """25-delta skew: put volatility less call volatility is the fear of a fall over a rise.

    `risk_reversal` = call less put, the market's sign convention: negative when falls are feared.
    """
    call = _interpolated(chain.calls.delta, chain.calls.volatility, 0.25)
    put = _interpolated(chain.puts.delta, chain.puts.volatility, -0.25)
    reversal = None if call is None or put is None else call - put
    return Skew(call_25_delta=call, put_25_delta=put, risk_reversal=reversal)


def volatility_rank(history: Sequence[float], current: float) -> float | None:
    """Where `current` lies between the lowest and the highest of `history`, 0 to 100 percent."""
    if len(history) < 2:
        return None
    low, high = min(history), max(history)
    return None if high <= low else 100.0 * min(max((current - low) / (high - low), 0.0), 1.0)


def volatility_percentile(history: Sequence[float], current: float) -> float | None:
    """Percent of the days in `history` whose volatility was below `current`."""
    if not history:
        return None
    return 100.0 * sum(value < current for value in history) / len(history)


@dataclass(frozen=True, slots=True)
class ExpectedMove:
    """Rupees that the market prices in until expiry, two ways."""

    one_deviation: float | None
    straddle: float | None


def expected_move(chain: Chain) -> ExpectedMove:
    """`one_deviation` = spot x volatility x root of years (68 % of outcomes under the model);
    `straddle` = price of the at-the-money call and put together (the mean absolute move)."""
    volatility = volatility_at_the_money(chain)
    row = chain.at_the_money
    straddle = float(chain.calls.middle[row] + chain.puts.middle[row])
    return ExpectedMove(
        one_deviation=None
        if volatility is None
        else chain.spot * volatility * max(chain.years, 0.0) ** 0.5,
        straddle=straddle if np.isfinite(straddle) else None,
    )


def gamma_exposure(chain: Chain) -> Floats:
    """Rupees of delta that hedgers must trade for a 1 % move of the spot, by strike.

    gamma x open interest x spot² x 1 %, calls positive and puts negative: the usual assumption
    that dealers are long calls and short puts. Where the sum is positive, hedging calms the
    spot; where it is negative, hedging pushes it on.
    """
    return _gamma_exposure(chain, chain.calls.gamma, chain.puts.gamma, chain.spot)


def _gamma_exposure(chain: Chain, calls: Floats, puts: Floats, spot: float) -> Floats:
    scale = spot * spot * 0.01
    call_side = np.nan_to_num(calls) * np.nan_to_num(chain.calls.open_interest)
    put_side = np.nan_to_num(puts) * np.nan_to_num(chain.puts.open_interest)
    return np.asarray((call_side - put_side) * scale, dtype=np.float64)


def gamma_flip(chain: Chain, *, reach: float = 0.10, steps: int = 201) -> float | None:
    """The spot nearest to today's at which total gamma exposure changes sign.

    Gamma is recomputed on a grid of `steps` spots within ±`reach` of the spot, with each strike's
    volatility held, and the crossing is interpolated. None when there is no crossing.
    """
    spots = chain.spot * np.linspace(1 - reach, 1 + reach, steps)
    totals = np.zeros(steps)
    for side, sign in ((chain.calls, 1.0), (chain.puts, -1.0)):
        known = np.isfinite(side.volatility) & np.isfinite(side.open_interest)
        if not known.any():
            continue
        gamma = pricing.greeks(
            spot=spots[:, None],
            strike=chain.strikes[known],
            years=chain.years,
            volatility=side.volatility[known],
            is_call=True,
            rate=chain.rate,
        ).gamma
        totals += sign * (gamma @ side.open_interest[known]) * spots * spots * 0.01
    crossings = np.flatnonzero(np.sign(totals[:-1]) * np.sign(totals[1:]) < 0)
    if not crossings.size:
        return None
    levels = spots[crossings] - totals[crossings] * (
        (spots[crossings + 1] - spots[crossings]) / (totals[crossings + 1] - totals[crossings])
    )
    return float(levels[int(np.argmin(np.abs(levels - chain.spot)))])


@dataclass(frozen=True, slots=True)
class InTheMoney:
    """How much open interest would be exercised at this spot."""

    call_share: float | None
    put_share: float | None
    call_value: float
    put_value: float


def in_the_money(chain: Chain) -> InTheMoney:
    """Shares of open interest with intrinsic value, and that value in rupees."""

    def side(of: Side, intrinsic: Floats) -> tuple[float | None, float]:
        interest = np.nan_to_num(of.open_interest)
        share = _ratio(float(interest[intrinsic > 0].sum()), float(interest.sum()))
        return share, float((interest * intrinsic).sum())

    call_share, call_value = side(chain.calls, np.maximum(chain.spot - chain.strikes, 0.0))
    put_share, put_value = side(chain.puts, np.maximum(chain.strikes - chain.spot, 0.0))
    return InTheMoney(call_share, put_share, call_value, put_value)


def volume_spikes(
    volume: Floats, usual: Floats, *, factor: float = 3.0, minimum: float = 0.0
) -> NDArray[np.bool_]:
    """Strikes that traded at least `factor` times their usual volume for this time of day."""
    return np.asarray((usual > 0) & (volume >= factor * usual) & (volume >= minimum))


class Breakout(StrEnum):
    ABOVE = "above"
    BELOW = "below"


def breakout(price: float, *, range_low: float, range_high: float) -> Breakout | None:
    """Whether the price has left the range, such as the first hour's or yesterday's."""
    if price > range_high:
        return Breakout.ABOVE
    if price < range_low:
        return Breakout.BELOW
    return None
