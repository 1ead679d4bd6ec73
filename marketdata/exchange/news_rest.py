"""News and instrument search of the simulated exchange."""

from collections.abc import Sequence
from typing import Any, Final

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.listing import Listing
from marketdata.exchange.noise import columns
from marketdata.exchange.requests import Request
from marketdata.exchange.source import Source

NEWS_KEYS_MAX: Final = 30
_DAY_MS: Final = 86_400_000
# A heading and what the article would begin with.
_HEADLINES: Final = (
    (
        "{name}: board to consider quarterly results",
        "The meeting is next week; until then insiders may not trade the share.",
    ),
    (
        "{name} opens a new plant, says the company",
        "Half of its output is promised to customers; the rest has to find buyers.",
    ),
    (
        "Brokers differ on {name} after the investor call",
        "Two raise their targets, one lowers it; all three heard the same figures.",
    ),
    (
        "{name} appoints a new finance chief",
        "The company promotes from within and keeps its outlook for the year.",
    ),
    (
        "{name} wins an order; shares in focus",
        "It is to be delivered over three years; the price was not disclosed.",
    ),
    (
        "What the numbers of {name} say about its sector",
        "Sales grew faster than costs, which not everyone among its peers can say.",
    ),
)


async def news(source: Source, request: Request) -> Answer:
    """Made-up headlines of the last seven days, the same for everybody who asks."""
    category = request.query.get("category")
    if category not in {"instrument_keys", "positions", "holdings"}:
        raise Refusal(400, "UDAPI1189", "Invalid category")
    keys = [key for key in request.query.get("instrument_keys", "").split(",") if key]
    if category == "instrument_keys" and not keys:
        raise Refusal(400, "UDAPI1190", "instrument_keys is required")
    if len(keys) > NEWS_KEYS_MAX:
        raise Refusal(400, "UDAPI1193", f"Maximum {NEWS_KEYS_MAX} instrument keys")
    number, size = _page(request)
    data = {
        key: _items(source.listings[key], request.now_ms) for key in keys if key in source.listings
    }
    total = sum(len(items) for items in data.values())
    page = {
        "page_number": number,
        "page_size": size,
        "total_records": total,
        "total_pages": max(1, -(-total // size)),
    }
    return envelope.success(data, metadata={"page": page})


def _items(listing: Listing, now_ms: int) -> list[dict[str, Any]]:
    out = []
    for days_ago in range(7):
        day = now_ms // _DAY_MS - days_ago
        draw = int(columns([f"news/{listing.key}/{day}"])[0])
        published = day * _DAY_MS + draw % _DAY_MS
        if draw % 3 == 0 and published <= now_ms:
            heading, summary = _HEADLINES[draw // 3 % len(_HEADLINES)]
            out.append(
                {
                    "heading": heading.format(name=listing.name),
                    "summary": summary,
                    "thumbnail": "",
                    # RFC 2606: nobody's site. By it pages know what is made up.
                    "article_link": f"https://example.com/news/{draw:x}",
                    "published_time": published,
                }
            )
    return out


async def search(source: Source, request: Request) -> Answer:
    """Instruments whose symbol or name contains the query."""
    query = request.query.get("query", "").strip().casefold()
    if not query or len(query) > 50:
        raise Refusal(400, "UDAPI100036", "query is required, of at most 50 characters")
    segments = {part for part in request.query.get("segments", "").split(",") if part}
    found = [
        listing
        for listing in source.listings.values()
        if (query in listing.symbol.casefold() or query in listing.name.casefold())
        and (not segments or listing.segment in segments)
    ]
    found.sort(key=lambda row: (not row.symbol.casefold().startswith(query), row.symbol))
    number, size = _page(request, name="records", largest=30)
    shown = found[(number - 1) * size : number * size]
    return envelope.success(
        [_row(row) for row in shown], meta_data={"page": _meta(found, number, size)}
    )


def _row(listing: Listing) -> dict[str, Any]:
    return {
        "name": listing.name,
        "segment": listing.segment,
        "exchange": listing.exchange,
        "isin": listing.isin,
        "instrument_type": listing.instrument_type,
        "instrument_key": listing.key,
        "lot_size": listing.lot,
        "exchange_token": listing.exchange_token,
        "tick_size": round(listing.tick * 100, 2),
        "trading_symbol": listing.symbol,
    }


def _meta(found: Sequence[Listing], number: int, size: int) -> dict[str, int]:
    return {
        "page_number": number,
        "records": size,
        "total_records": len(found),
        "total_pages": max(1, -(-len(found) // size)),
    }


def _page(request: Request, *, name: str = "page_size", largest: int = 100) -> tuple[int, int]:
    number, size = request.query.get("page_number", "1"), request.query.get(name, str(largest))
    if not (number.isdigit() and size.isdigit() and int(number) >= 1 and 1 <= int(size) <= largest):
        raise Refusal(400, "UDAPI100038", "Invalid page")
    return int(number), int(size)
