"""A bot: buys when the fast average of the last price crosses above the slow one, sells when it
crosses back. Play money, and a lesson in costs more than a way to riches.

    python client/examples/moving_average_bot.py --symbol RELIANCE --quantity 5

Reads MARKET_URL and MARKET_TOKEN (or MARKET_USERNAME and MARKET_PASSWORD).
"""

import argparse
import os
import sys
import time
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mockmarket_client import ApiError, Client, Stream


def client_from_environment() -> Client:
    """The caller named by the environment."""
    return Client(
        os.environ.get("MARKET_URL", "http://127.0.0.1:8000"),
        token=os.environ.get("MARKET_TOKEN"),
        username=os.environ.get("MARKET_USERNAME"),
        password=os.environ.get("MARKET_PASSWORD"),
    )


def signal(prices: deque[float], *, fast: int, slow: int) -> str:
    """BUY, SELL, or nothing yet, from the averages of the newest prices."""
    if len(prices) < slow:
        return ""
    recent = list(prices)
    average_fast = sum(recent[-fast:]) / fast
    average_slow = sum(recent[-slow:]) / slow
    return "BUY" if average_fast > average_slow else "SELL"


def run(client: Client, *, symbol: str, quantity: int, fast: int, slow: int, seconds: float) -> int:
    """Trades until the time is over; returns how many orders were accepted."""
    [instrument] = [row for row in client.instruments(search=symbol) if row.symbol == symbol]
    key, held, placed = instrument.instrument_key, 0, 0
    prices: deque[float] = deque(maxlen=slow)
    stream = Stream(client, [key])
    deadline = time.monotonic() + seconds
    for event in stream:
        if event.type == "prices_batch" and "last_price" in event.data.get(key, {}):
            prices.append(float(event.data[key]["last_price"]))
            wanted = signal(prices, fast=fast, slow=slow)
            if (wanted == "BUY" and held == 0) or (wanted == "SELL" and held > 0):
                try:
                    order = client.place_order(
                        key, side=wanted, quantity=quantity, reason="averages crossed"
                    )
                except ApiError as refusal:
                    print(f"refused: {refusal}", flush=True)
                else:
                    placed += 1
                    held = quantity if wanted == "BUY" else 0
                    print(f"{wanted} {quantity} {symbol}: {order.status}", flush=True)
        elif event.type == "trade":
            print(f"filled {event.data['quantity']} at {event.data['price']}", flush=True)
        if time.monotonic() > deadline:
            break
    return placed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbol", default="RELIANCE")
    parser.add_argument("--quantity", type=int, default=1)
    parser.add_argument("--fast", type=int, default=5)
    parser.add_argument("--slow", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=3600)
    options = vars(parser.parse_args())
    with client_from_environment() as connected:
        print(f"{run(connected, **options)} orders placed")
