"""The sentiment of now: measured every 30 s by a task, read from Redis by pages."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import redis
from django.core.cache import cache
from django.db.models import Count, Max, Min

from marketdata import selectors, sentiment
from marketdata.models import Candle
from mockmarket.core import redis as store

VIX_KEY: Final = "NSE_INDEX|India VIX"
TTL_SECONDS: Final = 3 * 86_400
EXTREMES_SECONDS: Final = 3_600
# Fewer daily candles than a month say nothing about a year's high.
DAYS_MIN: Final = 20


def extremes(*, at: datetime) -> dict[str, tuple[float, float]]:
    """52-week (high, low) by key, from the daily candles before today; kept for an hour."""
    name = f"extremes:{at:%Y-%m-%d}"
    known: dict[str, tuple[float, float]] | None = cache.get(name)
    if known is not None:
        return known
    rows = (
        Candle.objects.filter(
            interval=Candle.Interval.DAY,
            start__gte=at - timedelta(days=365),
            start__lt=at - timedelta(hours=24),
            instrument__in_universe=True,
        )
        .values("instrument__key")
        .annotate(highest=Max("high"), lowest=Min("low"), days=Count("pk"))
        .filter(days__gte=DAYS_MIN)
    )
    found = {row["instrument__key"]: (float(row["highest"]), float(row["lowest"])) for row in rows}
    cache.set(name, found, EXTREMES_SECONDS)
    return found


def refresh(*, at: datetime) -> sentiment.Sentiment:
    """Measure and keep the sentiment of `at`."""
    breadth = selectors.breadth()
    bounds = extremes(at=at)
    prices = selectors.board_rows(bounds)
    highs = lows = 0
    for key, row in prices.items():
        last = row["last_price"]
        if last is not None:
            highs += last >= bounds[key][0]
            lows += last <= bounds[key][1]
    vix = selectors.quote(VIX_KEY, at)
    change = None if vix is None else vix.change_percent
    found = sentiment.measure(
        advances=breadth.advances,
        declines=breadth.declines,
        highs=highs,
        lows=lows,
        shares=len(prices),
        vix=None if vix is None or vix.last_price is None else float(vix.last_price),
        vix_change_percent=None if change is None else float(change),
    )
    kept = {**msgspec.to_builtins(found), "as_of": at.isoformat(), "highs": highs, "lows": lows}
    try:
        store.client().set(store.key("sentiment"), msgspec.json.encode(kept), ex=TTL_SECONDS)
    except redis.RedisError:
        return found
    return found


def latest() -> dict[str, Any] | None:
    """`score`, `label`, `parts`, `missing`, `highs`, `lows`, `as_of`, `formula`; None before
    the first measurement."""
    try:
        raw = store.client().get(store.key("sentiment"))
    except redis.RedisError:
        return None
    if not isinstance(raw, bytes):
        return None
    found: dict[str, Any] = msgspec.json.decode(raw)
    return {**found, "formula": sentiment.FORMULA}
