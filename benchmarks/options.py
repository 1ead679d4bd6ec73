"""Option maths: a live chain on each spot tick, and a merge of a whole sweep.

chain_ms      price, Greeks and implied volatility of 200 contracts after a spot tick (median)
scalar_ms     the same contracts through vollib, one by one
ratio_scalar  scalar_ms / chain_ms
merge_s       215 underlyings x 120 strikes x call and put: REST answer to merged, packed columns
"""

import time
import warnings
from datetime import UTC, date, datetime
from statistics import median
from typing import Any

import numpy as np
import orjson

from benchmarks.common import run
from marketdata.options import pricing, sweep
from marketdata.options.chain import merge_sweep

SPOT, YEARS, RATE = 24_000.0, 6 / 365, 0.065
CONTRACTS = 200
UNDERLYINGS, STRIKES = 215, 120


def contracts(spot: float = SPOT) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Strikes, call flags and prices of 200 contracts within 10 % of 24,000, with a smile."""
    strikes = np.repeat(np.linspace(SPOT * 0.9, SPOT * 1.1, CONTRACTS // 2), 2)
    is_call = np.tile([True, False], CONTRACTS // 2)
    volatility = 0.13 + 0.8 * np.log(strikes / SPOT) ** 2
    prices = pricing.price(
        spot=spot, strike=strikes, years=YEARS, volatility=volatility, is_call=is_call, rate=RATE
    )
    return strikes, is_call, np.maximum(np.round(prices / 0.05) * 0.05, 0.05)


def ours(repeats: int) -> float:
    volatility = np.full(CONTRACTS, np.nan)
    costs = []
    for tick in range(repeats + 1):
        spot = SPOT * (1 + 0.0002 * np.sin(tick))
        strikes, is_call, prices = contracts(spot)
        started = time.perf_counter()
        solved = pricing.implied_volatility(
            price=prices,
            spot=spot,
            strike=strikes,
            years=YEARS,
            is_call=is_call,
            rate=RATE,
            guess=volatility,
        )
        volatility = np.where(solved.reason == 0, solved.volatility, volatility)
        pricing.greeks(
            spot=spot,
            strike=strikes,
            years=YEARS,
            volatility=np.nan_to_num(volatility),
            is_call=is_call,
            rate=RATE,
        )
        costs.append(time.perf_counter() - started)
    return median(costs[1:]) * 1000


def scalar(repeats: int) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from vollib.black_scholes import black_scholes
        from vollib.black_scholes.greeks import analytical
        from vollib.black_scholes.implied_volatility import implied_volatility
    strikes, is_call, prices = contracts()
    flags = np.where(is_call, "c", "p").tolist()
    costs = []
    for _ in range(repeats):
        started = time.perf_counter()
        for price, strike, flag in zip(prices.tolist(), strikes.tolist(), flags, strict=True):
            try:
                sigma = implied_volatility(price, SPOT, strike, YEARS, RATE, flag)
            except Exception:  # noqa: BLE001 - it has its own error for each missing volatility
                sigma = 0.13
            sigma = sigma or 0.13
            black_scholes(flag, SPOT, strike, YEARS, RATE, sigma)
            for greek in ("delta", "gamma", "theta", "vega", "rho"):
                getattr(analytical, greek)(flag, SPOT, strike, YEARS, RATE, sigma)
        costs.append(time.perf_counter() - started)
    return median(costs) * 1000


def answers() -> list[bytes]:
    """REST bodies of a full sweep, as the exchange sends them."""

    def option(key: str) -> dict[str, Any]:
        return {
            "instrument_key": key,
            "market_data": {
                "ltp": 101.5, "volume": 650_000, "oi": 1_250_000.0, "close_price": 98.2,
                "bid_price": 101.4, "bid_qty": 650, "ask_price": 101.6, "ask_qty": 1300,
                "prev_oi": 1_100_000.0,
            },
            "option_greeks": {
                "vega": 11.2, "theta": -8.4, "gamma": 0.0011, "delta": 0.51, "iv": 12.3, "pop": 48.0
            },
        }  # fmt: skip

    return [
        orjson.dumps(
            {
                "status": "success",
                "data": [
                    {
                        "expiry": "2026-11-24",
                        "strike_price": 20_000.0 + 50 * strike,
                        "underlying_spot_price": SPOT,
                        "call_options": option(f"NSE_FO|{underlying}{strike:03d}1"),
                        "put_options": option(f"NSE_FO|{underlying}{strike:03d}2"),
                    }
                    for strike in range(STRIKES)
                ],
            }
        )
        for underlying in range(UNDERLYINGS)
    ]


def merge() -> float:
    bodies = answers()
    known: dict[int, Any] = {}
    cost = 0.0
    for second in range(2):  # the first sweep fills, the second merges
        started = time.perf_counter()
        for index, body in enumerate(bodies):
            swept = sweep.parse_chain(
                orjson.loads(body)["data"],
                underlying_key=str(index),
                expiry_date=date(2026, 11, 24),
                years=YEARS,
                lot_size=65,
                at=datetime(2026, 11, 20, 9, second, tzinfo=UTC),
            )
            known[index] = merge_sweep(known.get(index), swept)
            sweep.pack(known[index])
        cost = time.perf_counter() - started
    return cost


def measure(*, quick: bool) -> dict[str, Any]:
    chain_ms = ours(200 if quick else 2_000)
    scalar_ms = scalar(5 if quick else 20)
    return {
        "chain_ms": round(chain_ms, 3),
        "scalar_ms": round(scalar_ms, 3),
        "ratio_scalar": round(scalar_ms / chain_ms, 1),
        "contracts": CONTRACTS,
        "merge_s": round(merge(), 3),
        "merge_contracts": UNDERLYINGS * STRIKES * 2,
    }


if __name__ == "__main__":
    run("options", measure)
