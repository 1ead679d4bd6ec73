"""Candles for charts: what the engine kept, what is forming now, and REST for the gaps.

The engine stores one-minute candles of what the feed carried; a gap of a session is filled from
Upstox's history once, stored, and remembered as filled. Longer intervals are derived from
minutes, daily ones are their own rows. Nothing is asked outside the service window.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec
import redis
import structlog
from celery import current_app
from django.core.cache import cache
from kombu.exceptions import KombuError

from marketdata import broker, selectors, sessions, storage
from marketdata.board import COLUMN
from marketdata.candles import INTERVALS, Bar, Row, bucket_start, derive
from marketdata.fetching import token_refused
from marketdata.mirror import mirror
from marketdata.models import Candle, Instrument
from marketdata.upstox import rest
from mockmarket.core import clock
from mockmarket.core import redis as store
from mockmarket.core.clock import IST
from mockmarket.core.errors import DomainError
from mockmarket.core.money import price as exact_price

log = structlog.get_logger(__name__)

# The most candles of one answer: a month of minutes is 8,000.
CANDLES_MAX: Final = 10_000
# Somebody waits for a request: it fetches the newest sessions with one short try each, and a
# worker fills the older ones for the next request.
SESSIONS_IN_REQUEST: Final = 2
SESSIONS_FILLED_MAX: Final = 30
REQUEST_TIMEOUT: Final = (1.0, 1.5)  # connect, read
TODAY_AGAIN_SECONDS: Final = 60
FILLED_SECONDS: Final = 7 * 86_400
# Upstox keeps minutes since January 2022.
MINUTES_SINCE: Final = date(2022, 1, 3)


class UnknownInterval(DomainError):
    """Only 1m, 5m, 15m, 1h and 1d are kept."""

    code = "unknown_interval"


def candles(
    *, instrument: Instrument, interval: str, start: datetime, end: datetime, at: datetime
) -> list[Row]:
    """Rows (start, open, high, low, close, volume) of [start, end), oldest first.

    The newest row may still be forming. At most 10,000 rows, the newest. Raises
    UnknownInterval.
    """
    if interval not in INTERVALS:
        raise UnknownInterval(
            f"There is no interval {interval!r}.",
            fields={"interval": f"One of {', '.join(INTERVALS)}."},
        )
    if interval == "1d":
        rows = _daily(instrument=instrument, start=start, end=end, at=at)
    else:
        # A derived bar that begins before `start` would miss its first minutes.
        start = bucket_start(start=start, interval=interval)
        minutes = _minutes(instrument=instrument, start=start, end=end, at=at)
        rows = minutes if interval == "1m" else derive(bars=minutes, interval=interval)
    return rows[-CANDLES_MAX:]


# --- Minutes ----------------------------------------------------------------------------
def _minutes(*, instrument: Instrument, start: datetime, end: datetime, at: datetime) -> list[Row]:
    end = min(end, at + timedelta(minutes=1))
    _fill_minutes(instrument=instrument, start=start, end=end, at=at)
    found = {row[0]: row for row in _stored(instrument, Candle.Interval.MINUTE, start, end)}
    forming = _forming(instrument.key)
    if forming is not None and start <= forming[0] < end:
        found[forming[0]] = forming
    return [found[when] for when in sorted(found)]


def _stored(
    instrument: Instrument, interval: Candle.Interval, start: datetime, end: datetime
) -> list[Row]:
    rows = Candle.objects.filter(
        instrument=instrument, interval=interval, start__gte=start, start__lt=end
    ).order_by("-start")
    columns = rows.values_list("start", "open", "high", "low", "close", "volume")
    # A derived hour needs sixty minutes: take enough for the answer's limit, newest first.
    return [
        (when, float(o), float(h), float(low), float(c), volume)
        for when, o, h, low, c, volume in reversed(columns[: 4 * CANDLES_MAX])
    ]


def _forming(key: str) -> Row | None:
    """The minute under way, as the engine left it in Redis a second ago."""
    try:
        raw = store.client().get(store.key("minutes"))
    except redis.RedisError:
        return None
    if not isinstance(raw, bytes):
        return None
    found = msgspec.msgpack.decode(raw, type=dict[str, Bar]).get(key)
    if found is None:
        return None
    start = clock.from_ms(found.start_ms)
    return (start, found.open, found.high, found.low, found.close, found.volume)


def _fill_minutes(*, instrument: Instrument, start: datetime, end: datetime, at: datetime) -> None:
    """Fetch the sessions of [start, end) that were never filled; failures leave the gap."""
    calendar = selectors.calendar()
    market = sessions.market_of(segment=instrument.segment, cas_eligible=instrument.cas_eligible)
    if not sessions.in_service(market=market, at=at, calendar=calendar) or token_refused():
        return
    today = at.astimezone(IST).date()
    day = max(start.astimezone(IST).date(), MINUTES_SINCE)
    last = min((end - timedelta(microseconds=1)).astimezone(IST).date(), today)
    wanted = []
    while day <= last:
        if sessions.is_session(market=market, day=day, calendar=calendar):
            wanted.append(day)
        day += timedelta(days=1)
    open_gaps = [day for day in wanted if cache.get(_filled_name(instrument.pk, day)) is None]
    later = open_gaps[-SESSIONS_FILLED_MAX:-SESSIONS_IN_REQUEST]
    if later:
        ask_worker(instrument=instrument, days=later)
    client = _client()
    fill(instrument=instrument, days=open_gaps[-SESSIONS_IN_REQUEST:], today=today, client=client)


def _client() -> rest.Client:
    """For a request: somebody waits."""
    return rest.Client(token=broker.current_token, tries=1, timeout=REQUEST_TIMEOUT)


def _filled_name(instrument_id: int, day: date) -> str:
    return f"filled:{instrument_id}:{day}"


def ask_worker(*, instrument: Instrument, days: Iterable[date]) -> None:
    """Have a worker fill the gaps; without a broker they stay until the next request."""
    try:
        current_app.send_task(
            "marketdata.tasks.fill_history",
            args=[instrument.pk, [day.isoformat() for day in days]],
            expires=600,
            retry=False,  # a page waits for this call
        )
    except (redis.RedisError, OSError, KombuError) as error:
        log.warning("no worker for history", error=str(error))


def fill(*, instrument: Instrument, days: Iterable[date], today: date, client: rest.Client) -> int:
    """Fetch and keep the minutes of sessions that nobody has fetched; how many were fetched.

    Stops at the first failure and lets it be tried again after a minute.
    """
    filled = 0
    for day in days:
        seconds = TODAY_AGAIN_SECONDS if day == today else FILLED_SECONDS
        # add() is the lock: one process fetches, the others read what it stores.
        if not cache.add(_filled_name(instrument.pk, day), 1, seconds):
            continue
        try:
            _fill_session(instrument=instrument, session=day, today=today, client=client)
        except (rest.UpstoxError, DomainError) as error:
            log.warning("no history", key=instrument.key, error=str(error))
            cache.set(_filled_name(instrument.pk, day), 1, TODAY_AGAIN_SECONDS)
            break
        filled += 1
    return filled


def fill_later(*, instrument_id: int, days: Iterable[date], at: datetime) -> int:
    """The worker's part of `candles`: older sessions, with all tries; how many were fetched."""
    instrument = Instrument.objects.get(pk=instrument_id)
    market = sessions.market_of(segment=instrument.segment, cas_eligible=instrument.cas_eligible)
    if not sessions.in_service(market=market, at=at, calendar=selectors.calendar()):
        return 0
    today = at.astimezone(IST).date()
    return fill(
        instrument=instrument,
        days=days,
        today=today,
        client=rest.Client(token=broker.current_token),
    )


def _fill_session(
    *, instrument: Instrument, session: date, today: date, client: rest.Client
) -> None:
    if session == today:
        rows = client.intraday(key=instrument.key)
    else:
        rows = client.candles(
            key=instrument.key, unit="minutes", interval=1, to_date=session, from_date=session
        )
    kept = set(
        Candle.objects.filter(
            instrument=instrument,
            interval=Candle.Interval.MINUTE,
            start__in=[row.start for row in rows],
        ).values_list("start", flat=True)
    )
    # The exchange's word replaces ours for a finished session. Today the engine is still
    # writing: only gaps are filled, and the forming minute is left to it.
    fresh = rows if session != today else [row for row in rows[:-1] if row.start not in kept]
    store_rows(instrument=instrument, interval=Candle.Interval.MINUTE, rows=fresh)


def store_rows(
    *, instrument: Instrument, interval: Candle.Interval, rows: Iterable[rest.CandleRow]
) -> None:
    """Keep candles that Upstox gave."""
    storage.upsert_candles(
        [
            Candle(
                instrument=instrument,
                interval=interval,
                start=row.start,
                open=exact_price(row.open),
                high=exact_price(row.high),
                low=exact_price(row.low),
                close=exact_price(row.close),
                volume=row.volume,
            )
            for row in rows
        ]
    )


# --- Days -------------------------------------------------------------------------------
def _daily(*, instrument: Instrument, start: datetime, end: datetime, at: datetime) -> list[Row]:
    _fill_days(instrument=instrument, start=start, at=at)
    found = {row[0]: row for row in _stored(instrument, Candle.Interval.DAY, start, end)}
    today = _today(instrument=instrument, at=at)
    if today is not None and start <= today[0] < end:
        found[today[0]] = today
    return [found[when] for when in sorted(found)]


def _fill_days(*, instrument: Instrument, start: datetime, at: datetime) -> None:
    calendar = selectors.calendar()
    market = sessions.market_of(segment=instrument.segment, cas_eligible=instrument.cas_eligible)
    if not sessions.in_service(market=market, at=at, calendar=calendar) or token_refused():
        return
    today = at.astimezone(IST).date()
    from_date = max(start.astimezone(IST).date(), today - timedelta(days=3_650))
    # One entry a year of history and a day: asking for more fetches more.
    name = f"filled-days:{instrument.pk}:{today}:{from_date.year}"
    if not cache.add(name, 1, FILLED_SECONDS):
        return
    try:
        rows = _client().candles(
            key=instrument.key,
            unit="days",
            interval=1,
            to_date=today - timedelta(days=1),
            from_date=from_date.replace(month=1, day=1),
        )
    except (rest.UpstoxError, DomainError) as error:
        log.warning("no daily history", key=instrument.key, error=str(error))
        cache.set(name, 1, TODAY_AGAIN_SECONDS)
        return
    store_rows(instrument=instrument, interval=Candle.Interval.DAY, rows=rows)


def _today(*, instrument: Instrument, at: datetime) -> Row | None:
    """Today's daily bar from the board: it moves with every tick."""
    copy = mirror()
    copy.refresh()
    row = copy.row(instrument.key)
    if row is None:
        return None
    names = ("open", "high", "low", "last_price")
    open_, high, low, last = (float(row[COLUMN[name]]) for name in names)
    stamp, volume = float(row[COLUMN["timestamp_ms"]]), float(row[COLUMN["volume"]])
    if last != last or stamp != stamp:
        return None
    day = clock.from_ms(int(stamp)).astimezone(IST).date()
    if day != at.astimezone(IST).date():
        return None
    midnight = datetime.combine(day, datetime.min.time(), IST).astimezone(UTC)
    open_ = last if open_ != open_ else open_
    return (
        midnight,
        open_,
        max(last, open_) if high != high else high,
        min(last, open_) if low != low else low,
        last,
        0 if volume != volume else int(volume),
    )
