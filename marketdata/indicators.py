"""Technical indicators over closing prices. Pure numpy; NaN where there are too few values.

The chart computes the same in static/js/studies.js for its last, live bar; a test compares both.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Series = npt.NDArray[np.float64]
SESSIONS_A_YEAR: Final = 250


def sma(values: Series, length: int) -> Series:
    """The mean of the last `length` values."""
    out = np.full(len(values), np.nan)
    if len(values) >= length:
        sums = np.cumsum(np.insert(values, 0, 0.0))
        out[length - 1 :] = (sums[length:] - sums[:-length]) / length
    return out


def ema(values: Series, length: int) -> Series:
    """The exponential mean of weight 2 / (length + 1), begun with the simple mean."""
    out = np.full(len(values), np.nan)
    if len(values) < length:
        return out
    weight = 2 / (length + 1)
    current = float(np.mean(values[:length]))
    out[length - 1] = current
    for place in range(length, len(values)):
        current += weight * (float(values[place]) - current)
        out[place] = current
    return out


def rsi(values: Series, length: int = 14) -> Series:
    """Wilder's relative strength index, 0 to 100; 50 when nothing moved."""
    out = np.full(len(values), np.nan)
    if len(values) <= length:
        return out
    moves = np.diff(values)
    gains, losses = np.maximum(moves, 0), np.maximum(-moves, 0)
    gain, loss = float(np.mean(gains[:length])), float(np.mean(losses[:length]))
    out[length] = _strength(gain, loss)
    for place in range(length, len(moves)):
        gain = (gain * (length - 1) + float(gains[place])) / length
        loss = (loss * (length - 1) + float(losses[place])) / length
        out[place + 1] = _strength(gain, loss)
    return out


def _strength(gain: float, loss: float) -> float:
    if loss == 0:
        return 50.0 if gain == 0 else 100.0
    return 100 - 100 / (1 + gain / loss)


def macd(values: Series) -> tuple[Series, Series]:
    """The line (12 less 26, exponential) and its signal (9)."""
    line = ema(values, 12) - ema(values, 26)
    signal = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(line))
    if len(known):
        signal[known[0] :] = ema(line[known[0] :], 9)
    return line, signal


def bollinger(
    values: Series, length: int = 20, width: float = 2.0
) -> tuple[Series, Series, Series]:
    """Lower band, mean, upper band: `width` population deviations either side."""
    middle = sma(values, length)
    spread = np.full(len(values), np.nan)
    if len(values) >= length:
        spread[length - 1 :] = np.std(sliding_window_view(values, length), axis=1)
    return middle - width * spread, middle, middle + width * spread


def true_range_percent(high: Series, low: Series, close: Series, length: int = 14) -> float:
    """The mean true range of the last `length` sessions in percent of the last close."""
    if len(close) <= length:
        return float("nan")
    before = close[:-1]
    spans = np.maximum(high[1:], before) - np.minimum(low[1:], before)
    return float(np.mean(spans[-length:]) / close[-1] * 100)


def period_return(values: Series, sessions: int) -> float:
    """Percent change over the last `sessions` sessions."""
    if len(values) <= sessions:
        return float("nan")
    return float((values[-1] / values[-1 - sessions] - 1) * 100)


def volatility(values: Series, sessions: int = 60) -> float:
    """Deviation of daily log returns over the last `sessions`, for a year, in percent."""
    window = values[-sessions - 1 :]
    if len(window) < 20:
        return float("nan")
    return float(np.std(np.diff(np.log(window)), ddof=1) * np.sqrt(SESSIONS_A_YEAR) * 100)


def beta(values: Series, market: Series, sessions: int = 120) -> float:
    """How far the share moves when the market moves one percent. Series end on the same day."""
    length = min(len(values), len(market), sessions + 1)
    if length < 30:
        return float("nan")
    own = np.diff(np.log(values[-length:]))
    index = np.diff(np.log(market[-length:]))
    spread = float(np.var(index))
    return float(np.cov(own, index, bias=True)[0, 1] / spread) if spread else float("nan")


def drawdown(values: Series) -> float:
    """The deepest fall from an earlier high, in percent, 0 or below; one value is no history."""
    if len(values) < 2:
        return float("nan")
    return float(np.min(values / np.maximum.accumulate(values) - 1) * 100)


def levels(high: Series, low: Series, close: Series, reach: int = 5) -> tuple[float, float]:
    """The nearest support below and resistance above the last close: the turning points (highest
    or lowest of `reach` sessions either side) closest to it. NaN where there is none."""
    last = float(close[-1])
    span = 2 * reach + 1
    if len(close) < span:
        return float("nan"), float("nan")
    lows, highs = low[reach:-reach], high[reach:-reach]
    lowest = sliding_window_view(low, span).min(axis=1)
    highest = sliding_window_view(high, span).max(axis=1)
    supports = lows[(lows == lowest) & (lows < last)]
    resistances = highs[(highs == highest) & (highs > last)]
    return (
        float(supports.max()) if len(supports) else float("nan"),
        float(resistances.min()) if len(resistances) else float("nan"),
    )
