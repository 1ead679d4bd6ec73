"""What a run of closes says of a portfolio: Sharpe ratio, drawdown, consistency, and luck. Pure.

Returns are daily, of the equity with cash flows taken out, so staff paying cash in is no skill.
Everything is numpy, one row a portfolio, one column a session; NaN is a session before joining.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

SESSIONS_A_YEAR = 250
SESSIONS_MIN = 5  # fewer daily returns say nothing of a ratio
DRAWS = 400
CONFIDENCE = 0.90


def daily_returns(*, equity: Floats, flows: Floats) -> Floats:
    """Returns per session from equity at consecutive closes (columns; the first is the start).

    `flows` is the cash that staff paid in (negative: took out) during each session, counted as
    there from its beginning. One column fewer than `equity`; NaN where either close is missing.
    """
    base = equity[:, :-1] + flows
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(base > 0, equity[:, 1:] / base - 1.0, np.nan)
    return found


def time_weighted_return(returns: Floats) -> Floats:
    """Percent over all sessions, each weighted alike whatever money was in."""
    compounded: Floats = (np.prod(1.0 + np.nan_to_num(returns), axis=1) - 1.0) * 100
    return compounded


def sharpe(returns: Floats, *, rate_percent: float = 0.0) -> Floats:
    """Mean excess daily return over its deviation, a year; NaN below SESSIONS_MIN sessions or
    where nothing ever moved. `rate_percent` is a year's return without risk."""
    excess = returns - rate_percent / 100 / SESSIONS_A_YEAR
    count = np.count_nonzero(~np.isnan(excess), axis=1)
    found = np.full(len(returns), np.nan)
    enough = count >= SESSIONS_MIN
    if enough.any():
        mean = np.nanmean(excess[enough], axis=1)
        deviation = np.nanstd(excess[enough], axis=1, ddof=1)
        ratio = np.full(len(mean), np.nan)
        moved = deviation > 1e-12
        ratio[moved] = mean[moved] / deviation[moved] * np.sqrt(SESSIONS_A_YEAR)
        found[enough] = ratio
    return found


def drawdown_percent(returns: Floats) -> Floats:
    """The deepest fall from a peak of the compounded returns, percent, at least zero."""
    if not returns.shape[1]:
        return np.zeros(len(returns))
    wealth = np.cumprod(1.0 + np.nan_to_num(returns), axis=1)
    peak = np.maximum.accumulate(np.maximum(wealth, 1.0), axis=1)
    deepest: Floats = np.max(1.0 - wealth / peak, axis=1) * 100
    return deepest


def consistency(returns: Floats) -> Floats:
    """Percent of the sessions that ended with a gain; NaN below SESSIONS_MIN sessions."""
    count = np.count_nonzero(~np.isnan(returns), axis=1)
    gains = np.count_nonzero(np.nan_to_num(returns) > 0, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(count >= SESSIONS_MIN, gains / count * 100, np.nan)
    return found


def rank_interval(returns: Floats, *, seed: int, draws: int = DRAWS) -> tuple[Ints, Ints]:
    """How far each rank could be luck: the best and worst rank in nine of ten draws.

    Each draw takes as many sessions as there were, with replacement, the same for everybody (a
    day's market is common to all), compounds them and ranks. The interval says: had the same
    days come in another mix, the rank would most likely have lain between the two. Zeros below
    SESSIONS_MIN sessions.
    """
    portfolios, sessions = returns.shape
    if sessions < SESSIONS_MIN or not portfolios:
        nothing = np.zeros(portfolios, np.int64)
        return nothing, nothing
    random = np.random.default_rng(seed)
    drawn = random.multinomial(sessions, np.full(sessions, 1 / sessions), size=draws)
    # A loss of everything has no logarithm; a hundredth of a paisa per rupee stands for it.
    growth = np.log(np.maximum(1.0 + np.nan_to_num(returns), 1e-6))
    totals = np.round(growth @ drawn.T, 12)  # portfolios x draws; rounding keeps equals equal
    ranks = np.empty(totals.shape, np.int64)
    for draw in range(draws):
        column = totals[:, draw]
        ordered = np.sort(-column)
        ranks[:, draw] = np.searchsorted(ordered, -column, side="left") + 1
    tail = (1 - CONFIDENCE) / 2
    low = np.quantile(ranks, tail, axis=1, method="lower").astype(np.int64)
    high = np.quantile(ranks, 1 - tail, axis=1, method="higher").astype(np.int64)
    return low, high
