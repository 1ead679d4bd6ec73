"""A live ticker for the terminal: `python client/examples/ticker.py RELIANCE TCS INFY`.

Reads MARKET_URL and MARKET_TOKEN (or MARKET_USERNAME and MARKET_PASSWORD).
"""

import asyncio
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mockmarket_client import AsyncClient, AsyncStream

GREEN, RED, PLAIN = "\x1b[32m", "\x1b[31m", "\x1b[0m"


async def keys_of(client: AsyncClient, symbols: list[str]) -> dict[str, str]:
    """Instrument keys with their symbols."""
    found: dict[str, str] = {}
    for symbol in symbols:
        rows = await client.instruments(search=symbol, segment="NSE_EQ")
        found.update((row.instrument_key, row.symbol) for row in rows if row.symbol == symbol)
    return found


def line(symbol: str, quote: dict[str, float]) -> str:
    """One share as the terminal shows it."""
    change = quote.get("change_percent") or 0.0
    colour = GREEN if change >= 0 else RED
    return f"{symbol:<12} {quote.get('last_price', 0):>10.2f} {colour}{change:+6.2f} %{PLAIN}"


async def main(symbols: list[str], updates: int) -> None:
    """Prints each change; stops after `updates` of them (0: never)."""
    async with AsyncClient(
        os.environ.get("MARKET_URL", "http://127.0.0.1:8000"),
        token=os.environ.get("MARKET_TOKEN"),
        username=os.environ.get("MARKET_USERNAME"),
        password=os.environ.get("MARKET_PASSWORD"),
    ) as client:
        names = await keys_of(client, symbols)
        stream = AsyncStream(client.sync, names)
        shown = 0
        async for event in stream:
            if event.type == "status":
                print(f"market is {stream.state.status}", flush=True)
            if event.type != "prices_batch":
                continue
            for key in event.data:
                if key in names:
                    print(line(names[key], stream.state.prices[key]), flush=True)
                    shown += 1
            if updates and shown >= updates:
                return


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["RELIANCE"], int(os.environ.get("TICKER_UPDATES", "0"))))
