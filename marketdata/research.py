"""Reads for the research pages: daily closes, analysis, comparison, the screen, heat maps."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from django.core.cache import cache
from django.db.models import BigIntegerField, Count
from django.db.models.functions import Cast

from marketdata import analysis, history, indicators, listing, screening, selectors
from marketdata.models import Candle, Instrument
from marketdata.selectors import Facts
from marketdata.upstox.limiter import Limiter
from mockmarket.core.clock import IST
from mockmarket.core.money import PriceField

NIFTY: Final = "NSE_INDEX|Nifty 50"
COMPARED_MAX: Final = 5
PRICE_SCALE: Final = 10**PriceField.places
YEAR: Final = timedelta(days=380)
SCREEN_HISTORY: Final = timedelta(days=700)
SCREEN_SECONDS: Final = 6 * 3600
SPARK_POINTS: Final = 40
# An instrument with fewer stored days than this is asked for again.
HISTORY_DAYS_MIN: Final = 120
# Of the 2,000 calls of half an hour the quotes need 360; history takes up to this many of them.
HISTORY_CALLS_MAX: Final = 1_200
HALF_HOUR: Final = 1_800
LOOK_EVERY: Final = 20


@dataclass(frozen=True, slots=True)
class Daily:
    """Daily bars of one instrument, oldest first; today's moves with the board."""

    starts: tuple[datetime, ...]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]

    @property
    def days(self) -> analysis.Days:
        return analysis.Days(close=self.close, high=self.high, low=self.low)


def daily(*, instrument: Facts | Instrument, at: datetime, span: timedelta = YEAR) -> Daily:
    """A year of daily bars, or `span`, as they are stored, today's from the board.

    Pages never wait for REST: the history is filled by `fill_history` in a worker.
    """
    found = Candle.objects.filter(
        instrument__key=instrument.key, interval=Candle.Interval.DAY, start__gte=at - span
    ).order_by("start")
    # As the integers that are stored: a Decimal for each of a thousand prices took longer than
    # all else of a page.
    stored = (Cast(name, BigIntegerField()) for name in ("high", "low", "close"))
    rows = [
        (start, high / PRICE_SCALE, low / PRICE_SCALE, close / PRICE_SCALE)
        for start, high, low, close in found.values_list("start", *stored)
    ]
    today = _today(instrument.key, at=at)
    if today is not None:
        rows = [row for row in rows if row[0] < today[0]] + [today]
    return Daily(
        starts=tuple(row[0] for row in rows),
        high=np.array([row[1] for row in rows], np.float64),
        low=np.array([row[2] for row in rows], np.float64),
        close=np.array([row[3] for row in rows], np.float64),
    )


def _market(*, at: datetime, span: timedelta = YEAR) -> Daily:
    """The NIFTY 50's days; none on a server that does not list it."""
    nifty = selectors.universe().get(NIFTY)
    if nifty is None:
        nothing = np.array([], np.float64)
        return Daily(starts=(), high=nothing, low=nothing, close=nothing)
    return daily(instrument=nifty, at=at, span=span)


def _today(key: str, *, at: datetime) -> tuple[datetime, float, float, float] | None:
    """Today's bar so far: start, high, low and last price."""
    quote = selectors.quote(key, at)
    if quote is None or quote.last_price is None or quote.timestamp is None:
        return None
    day = quote.timestamp.astimezone(IST).date()
    if day != at.astimezone(IST).date():
        return None
    start = datetime.combine(day, datetime.min.time(), IST).astimezone(UTC)
    last = float(quote.last_price)
    return start, float(quote.high or last), float(quote.low or last), last


def fill_history(*, at: datetime, span: timedelta = SCREEN_HISTORY) -> int:
    """Fetches the daily history that the universe lacks; how many instruments are still to ask.

    Slow on a new server (an answer of REST for each instrument): for a worker. It stops where
    the quotes' share of Upstox's calls begins, and goes on at its next run.
    """
    keys = list(selectors.universe())
    have = dict(
        Candle.objects.filter(
            instrument__key__in=keys, interval=Candle.Interval.DAY, start__gte=at - span
        )
        .values_list("instrument__key")
        .annotate(Count("pk"))
    )
    wanted = [key for key in keys if have.get(key, 0) < HISTORY_DAYS_MIN]
    limiter = Limiter()
    rows = list(Instrument.objects.filter(key__in=wanted).order_by("segment", "symbol"))
    for asked, instrument in enumerate(rows):
        if asked % LOOK_EVERY == 0 and limiter.used()[HALF_HOUR] >= HISTORY_CALLS_MAX:
            return len(rows) - asked
        history.candles(instrument=instrument, interval="1d", start=at - span, end=at, at=at)
    return 0


def analyse(*, instrument: Instrument, at: datetime) -> analysis.Report | None:
    """The analysis of one share against the NIFTY 50; None with too little history."""
    market = _market(at=at)
    return analysis.report(daily(instrument=instrument, at=at).days, market=market.close)


# --- Comparison -------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Compared:
    """One share among those compared. Percent, except `beta`; NaN is unknown."""

    row: listing.Row
    returns: dict[str, float]
    volatility: float
    beta: float
    drawdown: float
    points: list[tuple[str, float]]


def compare(*, instruments: Sequence[Instrument], at: datetime) -> list[Compared]:
    """Shares side by side; `points` are percent from the first day that all of them have."""
    market = _market(at=at)
    bars = [daily(instrument=one, at=at) for one in instruments]
    first = max((one.starts[0] for one in bars if one.starts), default=at)
    found = []
    rows = listing.rows(instruments, at=at)
    for row, one in zip(rows, bars, strict=True):
        since = next((n for n, start in enumerate(one.starts) if start >= first), 0)
        base = float(one.close[since]) if len(one.close) else 1.0
        found.append(
            Compared(
                row=row,
                returns={
                    name: indicators.period_return(one.close, sessions)
                    for name, sessions in (("1w", 5), ("1m", 21), ("3m", 63), ("1y", 249))
                },
                volatility=indicators.volatility(one.close),
                beta=indicators.beta(one.close, market.close),
                drawdown=indicators.drawdown(one.close),
                points=[
                    (start.isoformat(), round((float(close) / base - 1) * 100, 3))
                    for start, close in zip(one.starts[since:], one.close[since:], strict=True)
                ],
            )
        )
    return found


# --- The screen -------------------------------------------------------------------------
def screen(*, at: datetime) -> dict[str, Any] | None:
    """The newest list: `picks` (key, lead, rsi, above), `record`, `as_of`, `shares`; None until
    the first has been made."""
    found: dict[str, Any] | None = cache.get("screen")
    return found


def refresh_screen(*, at: datetime) -> bool:
    """Makes the list of the last full session when it is missing; True when it was made.

    Reads the daily history of the whole universe, so it runs in a worker.
    """
    kept = cache.get("screen")
    today = at.astimezone(IST).date().isoformat()
    if kept is not None and kept["made_on"] == today:
        return False
    if not cache.add("screen:lock", 1, 600):
        return False
    try:
        made = _make_screen(at=at)
    finally:
        cache.delete("screen:lock")
    if made is None:
        return False
    cache.set("screen", {**made, "made_on": today}, None)
    return True


def _make_screen(*, at: datetime) -> dict[str, Any] | None:
    shares = [one for one in selectors.universe().values() if one.segment.endswith("_EQ")]
    if fill_history(at=at):
        return None
    market = _market(at=at, span=SCREEN_HISTORY)
    today = at.astimezone(IST).date()
    # Today's bar is not finished: the list is of the last close.
    days = [start for start in market.starts if start.astimezone(IST).date() < today]
    if not days:
        return None
    place = {start: number for number, start in enumerate(days)}
    closes = np.full((len(days), len(shares)), np.nan)
    for column, facts in enumerate(shares):
        bars = daily(instrument=facts, at=at, span=SCREEN_HISTORY)
        for start, close in zip(bars.starts, bars.close, strict=True):
            if start in place:
                closes[place[start], column] = close
    index = market.close[: len(days)]
    picks, record = screening.screen(closes, index)
    return {
        "as_of": days[-1].isoformat(),
        "shares": len(shares),
        "picks": [{**asdict(pick), "key": shares[pick.column].key} for pick in picks],
        "record": {**asdict(record), "hit_rate": record.hit_rate},
        "since": days[
            min(len(days) - 1, screening.LEAD_SESSIONS + screening.SLOW_SHORT)
        ].isoformat(),
    }


# --- Sparklines -------------------------------------------------------------------------
def sparklines(*, keys: Sequence[str], at: datetime) -> dict[str, str]:
    """Today's course of each instrument as points of an SVG polyline, 100 wide and 24 high.

    Drawn once a minute for all readers of a board: candles of a minute change no sooner.
    """
    return _drawn(tuple(keys), at.replace(second=0, microsecond=0))


@lru_cache(maxsize=16)
def _drawn(keys: tuple[str, ...], at: datetime) -> dict[str, str]:
    midnight = at.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
    rows = (
        Candle.objects.filter(
            instrument__key__in=keys, interval=Candle.Interval.MINUTE, start__gte=midnight
        )
        .order_by("start")
        .values_list("instrument__key", "close")
    )
    closes: dict[str, list[float]] = {}
    for key, close in rows:
        closes.setdefault(key, []).append(float(close))
    return {key: _polyline(values) for key, values in closes.items() if len(values) > 1}


def _polyline(values: Sequence[float]) -> str:
    step = max(1, len(values) // SPARK_POINTS)
    thin = [*values[::step], values[-1]]
    low, high = min(thin), max(thin)
    span = (high - low) or 1.0
    return " ".join(
        f"{100 * n / (len(thin) - 1):.1f},{22 - 20 * (value - low) / span:.1f}"
        for n, value in enumerate(thin)
    )
