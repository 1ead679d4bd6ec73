"""Black-Scholes prices, Greeks and implied volatility, for whole chains at once.

Every function takes numpy arrays (or scalars) that broadcast against each other and returns
float64 arrays of the broadcast shape. European exercise, continuous rate `rate` and dividend
yield `dividend_yield`, as NSE's index and share options are.

Units, where most bugs of option code live:
- volatility is a fraction a year (0.12); Upstox's feed sends a fraction, its REST chain percent;
- `years` is time to expiry over 365 days; theta is rupees a calendar day;
- vega and rho are rupees for one percentage point (0.01) of volatility or rate.
"""

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
DAYS_PER_YEAR = 365.0
VOLATILITY_MAX = 10.0
_ITERATIONS_MAX = 64
# Halley converges cubically: after a relative step of 1e-6 the error is below 1e-14.
_TOLERANCE = 1e-6
# A volatility that rounding errors of the inputs blur by more than this is not reported.
_UNCERTAINTY_MAX = 1e-6


def normal_cdf(x: Floats) -> Floats:
    """Φ(x), accurate to one unit in the last place also far in the lower tail.

    The C library's erfc, mapped: 200 values cost about 12 µs, against 60 µs for a rational
    approximation in numpy, and scipy is not worth its 100 MB for one function.
    """
    flat = (-_SQRT_HALF * x).ravel()
    values = np.fromiter(map(math.erfc, flat.tolist()), np.float64, flat.size)
    return 0.5 * values.reshape(x.shape)


def normal_pdf(x: Floats) -> Floats:
    """φ(x)."""
    return _INV_SQRT_2PI * np.exp(-0.5 * x * x)


@dataclass(frozen=True, slots=True)
class Greeks:
    """Sensitivities of one unit of the underlying; see the module's units."""

    price: Floats
    delta: Floats
    gamma: Floats
    theta: Floats
    vega: Floats
    rho: Floats


def _columns(*values: ArrayLike) -> list[Floats]:
    return [
        np.array(column, dtype=np.float64)
        for column in np.broadcast_arrays(*[np.asarray(v, dtype=np.float64) for v in values])
    ]


def _d1_d2(forward: Floats, strike: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    d1 = np.log(forward / strike) / deviation + 0.5 * deviation
    return d1, d1 - deviation


def price(
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
) -> Floats:
    """Option prices in rupees. At expiry or without volatility, the discounted intrinsic."""
    return greeks(
        spot=spot,
        strike=strike,
        years=years,
        volatility=volatility,
        is_call=is_call,
        rate=rate,
        dividend_yield=dividend_yield,
    ).price


def greeks(
    *,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    volatility: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
) -> Greeks:
    """Price and Greeks together: they share d1, d2 and the two normal probabilities.

    Expired or volatility-free contracts get the discounted intrinsic, delta 0 or ±1 (discounted)
    and no gamma, theta or vega. Raises ValueError for a spot or strike that is not positive.
    """
    s, k, t, sigma, r, q = _columns(spot, strike, years, volatility, rate, dividend_yield)
    sign = np.where(np.broadcast_to(np.asarray(is_call, dtype=bool), s.shape), 1.0, -1.0)
    if not (np.all(s > 0) and np.all(k > 0)):
        raise ValueError("spot and strike must be positive")
    live = (t > 0) & (sigma > 0)
    t = np.maximum(t, 0.0)
    root_t = np.where(live, np.sqrt(t), 1.0)
    deviation = np.where(live, sigma * root_t, 1.0)
    discount, carry = np.exp(-r * t), np.exp(-q * t)
    forward = s * carry / discount
    d1, d2 = _d1_d2(forward, k, deviation)
    n1, n2 = normal_cdf(sign * d1), normal_cdf(sign * d2)
    in_the_money = (sign * (forward - k) > 0).astype(np.float64)
    n1, n2 = np.where(live, n1, in_the_money), np.where(live, n2, in_the_money)
    density = np.where(live, normal_pdf(d1), 0.0)

    value = sign * (s * carry * n1 - k * discount * n2)
    gamma = carry * density / (s * deviation)
    theta = (
        -s * carry * density * sigma / (2.0 * root_t)
        - sign * r * k * discount * n2
        + sign * q * s * carry * n1
    )
    return Greeks(
        price=np.maximum(value, 0.0),
        delta=sign * carry * n1,
        gamma=np.where(live, gamma, 0.0),
        theta=np.where(live, theta / DAYS_PER_YEAR, 0.0),
        vega=np.where(live, s * carry * density * root_t / 100.0, 0.0),
        rho=sign * k * t * discount * n2 / 100.0,
    )


class NoVolatility(IntEnum):
    """Why a price has no implied volatility."""

    NONE = 0  # it has one
    NOT_FINITE = 1  # a missing or impossible input
    EXPIRED = 2
    BELOW_INTRINSIC = 3  # at or below the discounted intrinsic: no volatility explains it
    ABOVE_BOUND = 4  # dearer than the underlying (call) or the discounted strike (put)
    TOO_FLAT = 5  # so little time value that volatility is not identifiable in float64


@dataclass(frozen=True, slots=True)
class ImpliedVolatility:
    """Volatility as a fraction a year (NaN where there is none) and the reason."""

    volatility: Floats
    reason: NDArray[np.int8]


def implied_volatility(
    *,
    price: ArrayLike,
    spot: ArrayLike,
    strike: ArrayLike,
    years: ArrayLike,
    is_call: ArrayLike,
    rate: ArrayLike = 0.0,
    dividend_yield: ArrayLike = 0.0,
    guess: ArrayLike = np.nan,
) -> ImpliedVolatility:
    """The volatility at which Black-Scholes gives `price`.

    In-the-money prices are turned into out-of-the-money ones by put-call parity first, because
    their intrinsic part carries no information and only costs digits. Halley's method then starts
    at `guess` (a fraction a year, such as the volatility of the tick before; NaN or 0: none) or
    else at the inflection point of price over volatility (Manaster and Koehler 1982). Prices below
    the inflection's are solved in their logarithm, which stays well conditioned for a tiny
    fraction of a paisa.
    """
    value, s, k, t, r, q, start = _columns(price, spot, strike, years, rate, dividend_yield, guess)
    sign = np.where(np.broadcast_to(np.asarray(is_call, dtype=bool), s.shape), 1.0, -1.0)
    finite = np.isfinite(value) & np.isfinite(s) & np.isfinite(k) & np.isfinite(t)
    finite &= (s > 0) & (k > 0) & (value > 0)
    expired = finite & (t <= 0)
    usable = finite & ~expired
    s, k, t = np.where(usable, s, 1.0), np.where(usable, k, 1.0), np.where(usable, t, 1.0)

    discount = np.exp(-r * t)
    forward = s * np.exp(-q * t) / discount
    undiscounted = np.where(usable, value, 0.0) / discount
    intrinsic = np.maximum(sign * (forward - k), 0.0)
    bound = np.where(sign > 0, forward, k)
    below = usable & (undiscounted <= intrinsic)
    above = usable & (undiscounted >= bound)
    usable &= ~below & ~above

    # Out of the money, scaled by the geometric mean of forward and strike.
    scale = np.sqrt(forward * k)
    time_value = np.where(usable, (undiscounted - intrinsic) / scale, 0.0)
    # Subtracting an intrinsic value leaves the rounding errors of price and forward.
    noise = np.where(intrinsic > 0, 4.0 * np.finfo(np.float64).eps * (forward + k) / scale, 0.0)
    flat = usable & (time_value <= noise)
    usable &= ~flat

    deviation = np.full(s.shape, np.nan)
    uncertainty = np.zeros(s.shape)
    chosen = np.flatnonzero(usable)
    if chosen.size:
        moneyness = -np.abs(np.log(forward / k)).ravel()[chosen]
        solved, slope = _solve_deviation(
            time_value.ravel()[chosen], moneyness, (start * np.sqrt(t)).ravel()[chosen]
        )
        deviation.ravel()[chosen] = solved
        with np.errstate(divide="ignore"):
            uncertainty.ravel()[chosen] = noise.ravel()[chosen] / slope
    root_t = np.sqrt(t)
    volatility = deviation / root_t
    flat |= usable & ~(volatility <= VOLATILITY_MAX)
    flat |= usable & ~(uncertainty / root_t <= _UNCERTAINTY_MAX)
    volatility = np.where(flat, np.nan, volatility)

    reason = np.zeros(s.shape, np.int8)
    reason[~finite] = NoVolatility.NOT_FINITE
    reason[expired] = NoVolatility.EXPIRED
    reason[below] = NoVolatility.BELOW_INTRINSIC
    reason[above] = NoVolatility.ABOVE_BOUND
    reason[flat] = NoVolatility.TOO_FLAT
    return ImpliedVolatility(volatility=volatility, reason=reason)


def _normalised_call(x: Floats, v: Floats) -> tuple[Floats, Floats]:
    """Out-of-the-money call over √(F·K) at log-moneyness `x` ≤ 0, and its slope in `v`."""
    h = x / v
    value = np.exp(0.5 * x) * normal_cdf(h + 0.5 * v) - np.exp(-0.5 * x) * normal_cdf(h - 0.5 * v)
    slope = _INV_SQRT_2PI * np.exp(-0.5 * (h * h + 0.25 * v * v))
    return value, slope


def _solve_deviation(target: Floats, x: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Total deviation σ√t at which the normalised call is worth `target`, and the slope there."""
    # At the money the inflection point is at zero: start from Brenner-Subrahmanyam instead.
    inflection = np.maximum(np.sqrt(2.0 * -x), np.sqrt(2.0 * math.pi) * target)
    by_logarithm = target < _normalised_call(x, inflection)[0]
    v = np.where(start > 0, start, inflection)
    value, slope = _normalised_call(x, v)
    low, high = np.zeros_like(v), np.full_like(v, np.inf)
    todo = np.arange(v.size)
    for _ in range(_ITERATIONS_MAX):
        low[todo] = np.where(value < target[todo], v[todo], low[todo])
        high[todo] = np.where(value > target[todo], v[todo], high[todo])
        following = _next_deviation(
            v[todo],
            x[todo],
            target[todo],
            value,
            slope[todo],
            low[todo],
            high[todo],
            by_logarithm[todo],
        )
        moved = np.abs(following - v[todo]) > _TOLERANCE * following
        v[todo] = following
        todo = todo[moved]
        if not todo.size:
            break
        value, slope[todo] = _normalised_call(x[todo], v[todo])
    return v, slope


def _next_deviation(
    v: Floats,
    x: Floats,
    target: Floats,
    value: Floats,
    slope: Floats,
    low: Floats,
    high: Floats,
    by_logarithm: NDArray[np.bool_],
) -> Floats:
    """One Halley step, on the price or its logarithm; a bisection where it leaves (low, high)."""
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        relative = slope / value
        newton = np.where(by_logarithm, np.log(target / value) / relative, (target - value) / slope)
        curvature = (x / v) ** 2 / v - 0.25 * v - np.where(by_logarithm, relative, 0.0)
        step = newton / np.maximum(1.0 + 0.5 * newton * curvature, 0.5)
        proposed = v + step
    middle = np.where(np.isinf(high), 2.0 * v, 0.5 * (low + high))
    inside = np.isfinite(proposed) & (proposed >= low) & (proposed <= high)
    # The bounds are allowed: a step below one ulp stays where it is.
    return np.where(inside, proposed, middle)
