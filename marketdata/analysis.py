"""What a year of daily prices says about one share: measures with their definitions, no advice.

Pure: closes, highs and lows come in, findings come out. Each finding names its measure, its
value, how it reads, and how it is computed, so that a student can check it by hand.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from marketdata import indicators
from marketdata.indicators import Series

SESSIONS_MIN: Final = 60


@dataclass(frozen=True, slots=True)
class Days:
    """Daily prices, oldest first, of equal length."""

    close: Series
    high: Series
    low: Series


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure. `unit` is percent, rupees or none; `reading` a code that the page words."""

    name: str
    value: float
    unit: str
    reading: str


@dataclass(frozen=True, slots=True)
class Report:
    """The findings by group, in the order of the page."""

    trend: tuple[Finding, ...]
    momentum: tuple[Finding, ...]
    volatility: tuple[Finding, ...]
    levels: tuple[Finding, ...]
    relative: tuple[Finding, ...]


def report(days: Days, *, market: Series) -> Report | None:
    """The report of a share against the market's closes; None with under 60 sessions."""
    if len(days.close) < SESSIONS_MIN:
        return None
    return Report(
        trend=_trend(days),
        momentum=_momentum(days),
        volatility=_volatility(days),
        levels=_levels(days),
        relative=_relative(days, market),
    )


def _trend(days: Days) -> tuple[Finding, ...]:
    last = float(days.close[-1])
    short = float(indicators.sma(days.close, 20)[-1])
    long = float(indicators.sma(days.close, 50)[-1])
    year = float(indicators.sma(days.close, 200)[-1])
    return (
        Finding("sma20", short, "rupees", _above(last, short)),
        Finding("sma50", long, "rupees", _above(last, long)),
        Finding("sma200", year, "rupees", _above(last, year)),
        Finding("cross", (short / long - 1) * 100, "percent", _above(short, long)),
    )


def _momentum(days: Days) -> tuple[Finding, ...]:
    strength = float(indicators.rsi(days.close)[-1])
    line, signal = indicators.macd(days.close)
    gap = float(line[-1] - signal[-1])
    month = indicators.period_return(days.close, 21)
    quarter = indicators.period_return(days.close, 63)
    reading = "overbought" if strength > 70 else "oversold" if strength < 30 else "neutral"
    return (
        Finding("rsi", strength, "", reading),
        Finding("macd", gap, "rupees", _above(gap, 0.0)),
        Finding("return_1m", month, "percent", _above(month, 0.0)),
        Finding("return_3m", quarter, "percent", _above(quarter, 0.0)),
    )


def _volatility(days: Days) -> tuple[Finding, ...]:
    yearly = indicators.volatility(days.close)
    swing = indicators.true_range_percent(days.high, days.low, days.close)
    lower, _middle, upper = indicators.bollinger(days.close)
    width = float(upper[-1] - lower[-1])
    place = float((days.close[-1] - lower[-1]) / width * 100) if width else float("nan")
    band = "above" if place > 100 else "below" if place < 0 else "inside"
    level = "high" if yearly > 40 else "low" if yearly < 20 else "medium"
    return (
        Finding("volatility", yearly, "percent", level),
        Finding("atr", swing, "percent", ""),
        Finding("band_place", place, "percent", band),
        Finding("drawdown", indicators.drawdown(days.close[-250:]), "percent", ""),
    )


def _levels(days: Days) -> tuple[Finding, ...]:
    support, resistance = indicators.levels(days.high, days.low, days.close)
    return (
        Finding("support", support, "rupees", ""),
        Finding("resistance", resistance, "rupees", ""),
        Finding("high_52w", float(np.max(days.high[-250:])), "rupees", ""),
        Finding("low_52w", float(np.min(days.low[-250:])), "rupees", ""),
    )


def _relative(days: Days, market: Series) -> tuple[Finding, ...]:
    own = indicators.period_return(days.close, 63)
    index = indicators.period_return(market, 63)
    return (
        Finding("relative_3m", own - index, "percent", _above(own, index)),
        Finding("beta", indicators.beta(days.close, market), "", ""),
    )


def _above(value: float, other: float) -> str:
    if value != value or other != other:
        return ""
    return "above" if value > other else "below" if value < other else "neutral"
