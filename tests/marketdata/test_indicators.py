"""Indicators by hand, and the same in the browser."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from marketdata import indicators

MODULE = Path(__file__).parents[2] / "static" / "js" / "studies.js"
RISING = np.arange(1.0, 61.0)


def test_means_and_strength_of_a_steady_rise() -> None:
    assert np.isnan(indicators.sma(RISING, 20)[18])
    assert indicators.sma(RISING, 20)[19] == pytest.approx(10.5)
    assert indicators.rsi(RISING)[-1] == 100
    assert indicators.rsi(np.full(30, 5.0))[-1] == 50


def test_bands_of_a_constant_price_have_no_width() -> None:
    lower, middle, upper = indicators.bollinger(np.full(30, 7.0))
    assert (lower[-1], middle[-1], upper[-1]) == (7.0, 7.0, 7.0)


def test_drawdown_and_returns() -> None:
    closes = np.array([100.0, 120.0, 90.0, 110.0])
    assert indicators.drawdown(closes) == pytest.approx(-25)
    assert np.isnan(indicators.drawdown(closes[:1]))
    assert indicators.period_return(closes, 3) == pytest.approx(10)
    assert np.isnan(indicators.period_return(closes, 4))


def test_beta_of_the_market_to_itself_is_one() -> None:
    market = np.cumprod(1 + np.random.default_rng(7).normal(0, 0.01, 100)) * 100
    assert indicators.beta(market, market) == pytest.approx(1)
    # Twice the daily moves (in logs) is twice the beta.
    assert indicators.beta(market**2, market) == pytest.approx(2)


def test_the_nearest_turning_points_are_support_and_resistance() -> None:
    close = np.array([5, 4, 3, 2, 1, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 7, 6, 5, 4, 3, 2, 3.0]) + 10
    low, high = close - 0.1, close + 0.1
    support, resistance = indicators.levels(high, low, close)
    assert support == pytest.approx(10.4)
    assert resistance == pytest.approx(18.1)


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_the_chart_computes_the_same() -> None:
    closes = (np.cumprod(1 + np.random.default_rng(3).normal(0, 0.02, 120)) * 500).round(2)
    script = (
        "let source = await (await import('node:fs/promises')).readFile(process.argv[1], 'utf8');"
        "source = source.replace(/^import .*$/m, '');"
        "const s = await import('data:text/javascript,' + encodeURIComponent(source));"
        f"const v = {json.dumps(closes.tolist())};"
        "const m = s.macd(v);"
        "console.log(JSON.stringify([s.sma(v,20).at(-1), s.ema(v,50).at(-1), s.rsi(v).at(-1),"
        " m.line.at(-1), m.signal.at(-1), ...s.bollinger(v).at(-1)]))"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script, str(MODULE)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    line, signal = indicators.macd(closes)
    expected = [
        indicators.sma(closes, 20)[-1],
        indicators.ema(closes, 50)[-1],
        indicators.rsi(closes)[-1],
        line[-1],
        signal[-1],
        *(band[-1] for band in indicators.bollinger(closes)),
    ]
    assert json.loads(done.stdout) == pytest.approx(expected, rel=1e-9)
