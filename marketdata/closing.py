"""The end of a session: the closing price of every index and share, exactly once.

One minute after the final close of a market is known its snapshot is due. The job is keyed by
(market, session date) in `JobRun` and each price by (instrument, session date), both unique, so
running twice, late, or again after a crash adds nothing and changes nothing. Prices come from
Upstox's quotes; what they lack, or everything when REST fails, from the engine's board, then
from the last price of the database, each only if it was traded in that session.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Q

from marketdata import broker, selectors, sessions
from marketdata.models import Candle, ClosingPrice, Instrument, LastPrice
from marketdata.quotes import Tick
from marketdata.storage import ROWS_PER_STATEMENT, upsert_candles
from marketdata.upstox import rest
from mockmarket.core import clock, failpoints
from mockmarket.core.clock import IST
from mockmarket.core.errors import DomainError
from mockmarket.core.models import JobRun
from mockmarket.core.money import price as exact_price

log = structlog.get_logger(__name__)

DUE_AFTER: Final = timedelta(minutes=1)
# Sessions that a late run still makes up for; later the prices are gone from every source.
CATCH_UP_DAYS: Final = 7
# While a price is missing the job runs again each minute, up to this long after it was due; then
# the session is recorded with what there is, be it nothing.
GIVE_UP_AFTER: Final = timedelta(hours=2)
# A run that has not finished after this long died; another may take the session over.
ABANDONED_AFTER: Final = timedelta(minutes=5)
CLOSING_MARKETS: Final = ("NSE_EQ", sessions.CAS_MARKET, "NSE_INDEX", "BSE_INDEX", "BSE_EQ")

Fetch = Callable[[Sequence[str]], list[Tick]]


@dataclass(frozen=True, slots=True)
class Price:
    """A candidate for a closing price: plain numbers of rupees, and when it was traded."""

    close: float
    previous_close: float | None
    open: float | None
    high: float | None
    low: float | None
    volume: int
    source: str
    traded_at: datetime


def job_name(market: str) -> str:
    """The name under which `JobRun` keeps a market's snapshots."""
    return f"closing:{market}"


def due(*, at: datetime) -> list[tuple[str, date]]:
    """(market, session date) whose snapshot should exist at `at` and does not, oldest first."""
    calendar = selectors.calendar()
    today = at.astimezone(IST).date()
    wanted = []
    for back in range(CATCH_UP_DAYS, -1, -1):
        day = today - timedelta(days=back)
        for market in CLOSING_MARKETS:
            close = sessions.final_close(market=market, day=day, calendar=calendar)
            if close is not None and at >= close + DUE_AFTER:
                wanted.append((market, day))
    done = set(
        JobRun.objects.filter(
            job__in=[job_name(market) for market in CLOSING_MARKETS],
            key__in={day.isoformat() for _, day in wanted},
            state=JobRun.State.DONE,
        ).values_list("job", "key")
    )
    return [pair for pair in wanted if (job_name(pair[0]), pair[1].isoformat()) not in done]


def take_due(*, at: datetime, fetch: Fetch | None = None) -> int:
    """Take every snapshot that is due; how many sessions were closed."""
    taken = 0
    for market, day in due(at=at):
        taken += take(market=market, day=day, at=at, fetch=fetch)
    return taken


def take(*, market: str, day: date, at: datetime, fetch: Fetch | None = None) -> bool:
    """Take one snapshot. False when it is taken already, another run is at it, or prices are
    still missing and a later run shall look again."""
    run = _claim(market=market, day=day, at=at)
    if run is None:
        return False
    failpoints.reach("closing.claimed")
    # The session under way is asked of Upstox: an earlier one is no longer what it quotes.
    is_latest = sessions.session_date(market=market, at=at, calendar=selectors.calendar()) == day
    instruments = _instruments(market)
    prices, unanswered = _gather(
        instruments, day=day, fetch=(fetch or rest_quotes) if is_latest else None
    )
    final = not unanswered or at >= _due_at(market, day) + GIVE_UP_AFTER
    with transaction.atomic(durable=True):
        stored = _store(instruments, prices, day=day, at=at)
        failpoints.reach("closing.stored")
        run.state = JobRun.State.DONE if final else JobRun.State.FAILED
        run.finished_at = at
        run.detail = {
            "stored": stored,
            "instruments": len(instruments),
            "no_data": not prices,
            "by_source": _count(prices),
            "unanswered": unanswered[:200],
        }
        run.save()
    failpoints.reach("closing.committed")
    # A new installation closes several past days without data: no news to an operator.
    tell = log.info if stored else log.debug
    tell("session closed", market=market, day=str(day), stored=stored)
    return final


def _due_at(market: str, day: date) -> datetime:
    close = sessions.final_close(market=market, day=day, calendar=selectors.calendar())
    # A day that an administrator has since made a holiday has no close: nothing to wait for.
    return datetime.min.replace(tzinfo=UTC) if close is None else close + DUE_AFTER


def _claim(*, market: str, day: date, at: datetime) -> JobRun | None:
    """This run's claim to the session, None when it is done or another run holds it."""
    try:
        with transaction.atomic():
            return JobRun.objects.create(job=job_name(market), key=day.isoformat(), started_at=at)
    except IntegrityError:
        held = JobRun.objects.get(job=job_name(market), key=day.isoformat())
    if held.state == JobRun.State.DONE:
        return None
    if held.state == JobRun.State.RUNNING and held.started_at > at - ABANDONED_AFTER:
        return None
    # Compare and set: of two runs that find it abandoned or incomplete, one goes on.
    won = JobRun.objects.filter(pk=held.pk, attempts=held.attempts).update(
        attempts=held.attempts + 1, started_at=at, state=JobRun.State.RUNNING
    )
    held.refresh_from_db()
    return held if won == 1 else None


def instruments_of(market: str, *, prefix: str = "instrument__") -> Q:
    """The instruments of a market, as a filter of rows that point to them."""
    if market == sessions.CAS_MARKET:
        return Q(**{f"{prefix}segment": "NSE_EQ", f"{prefix}cas_eligible": True})
    found = Q(**{f"{prefix}segment": market})
    return found & Q(**{f"{prefix}cas_eligible": False}) if market == "NSE_EQ" else found


def _instruments(market: str) -> list[Instrument]:
    found = Instrument.objects.filter(active=True, in_universe=True)
    return list(found.filter(instruments_of(market, prefix="")).order_by("pk"))


# --- Where prices come from -------------------------------------------------------------
def rest_quotes(keys: Sequence[str]) -> list[Tick]:
    """Quotes from Upstox; [] when it cannot answer, so that the board takes its place."""
    try:
        return rest.Client(token=broker.current_token).quotes(keys)
    except (rest.UpstoxError, DomainError) as error:
        log.warning("closing without REST", error=str(error))
        return []


def _gather(
    instruments: Sequence[Instrument], *, day: date, fetch: Fetch | None
) -> tuple[dict[str, Price], list[str]]:
    """Prices by key, and the keys of which no source knows anything.

    A share that Upstox knows and that did not trade in the session has no closing price, and
    none is waited for.
    """
    keys = [row.key for row in instruments]
    quoted = {tick.instrument_key: _of_tick(tick) for tick in fetch(keys)} if fetch and keys else {}
    found = _of_session(day, quoted)
    for source in (_of_board, _of_database):
        missing = [key for key in keys if key not in found and key not in quoted]
        found.update(_of_session(day, source(missing)))
    return found, [key for key in keys if key not in found and key not in quoted]


def _of_session(day: date, prices: Mapping[str, Price | None]) -> dict[str, Price]:
    return {
        key: price
        for key, price in prices.items()
        if price is not None and price.traded_at.astimezone(IST).date() == day
    }


def _of_tick(tick: Tick) -> Price | None:
    if not tick.last_price or tick.last_price <= 0:
        return None
    return Price(
        close=tick.last_price,
        previous_close=tick.previous_close,
        open=tick.open,
        high=tick.high,
        low=tick.low,
        volume=int(tick.volume or 0),
        source="rest",
        traded_at=clock.from_ms(tick.last_trade_ms or tick.exchange_ms),
    )


def _of_board(keys: Sequence[str]) -> dict[str, Price | None]:
    copy = selectors.board_rows(keys)
    return {
        key: Price(
            close=row["last_price"],
            previous_close=row["previous_close"],
            open=row["open"],
            high=row["high"],
            low=row["low"],
            volume=int(row["volume"] or 0),
            source="board",
            traded_at=clock.from_ms(int(row["timestamp_ms"])),
        )
        for key, row in copy.items()
        if row["last_price"] and row["timestamp_ms"]
    }


def _of_database(keys: Sequence[str]) -> dict[str, Price | None]:
    rows = LastPrice.objects.select_related("instrument").filter(instrument__key__in=keys)
    return {
        row.instrument.key: Price(
            close=float(row.last_price),
            previous_close=None if row.previous_close is None else float(row.previous_close),
            open=None if row.open is None else float(row.open),
            high=None if row.high is None else float(row.high),
            low=None if row.low is None else float(row.low),
            volume=row.volume,
            source="database",
            traded_at=row.traded_at,
        )
        for row in rows
    }


# --- Storing ----------------------------------------------------------------------------
def _store(
    instruments: Sequence[Instrument], prices: Mapping[str, Price], *, day: date, at: datetime
) -> int:
    """Insert what is not there yet, and the daily candles; the number of closing prices."""
    rows = [
        _closing_price(row, prices[row.key], day=day, at=at)
        for row in instruments
        if row.key in prices
    ]
    ClosingPrice.objects.bulk_create(rows, batch_size=ROWS_PER_STATEMENT, ignore_conflicts=True)
    midnight = datetime.combine(day, datetime.min.time(), IST)
    upsert_candles([_daily_candle(row, start=midnight) for row in rows])
    _show(instruments, prices, at=at)
    return len(rows)


def _show(instruments: Sequence[Instrument], prices: Mapping[str, Price], *, at: datetime) -> None:
    """A last price for what has none: a desk first opened on a weekend shows Friday's close."""
    LastPrice.objects.bulk_create(
        [
            LastPrice(
                instrument=row,
                last_price=exact_price(price.close),
                stored_at=at,
                **_figures(price),
            )
            for row in instruments
            if (price := prices.get(row.key)) is not None
        ],
        batch_size=ROWS_PER_STATEMENT,
        ignore_conflicts=True,
    )


def _closing_price(row: Instrument, price: Price, *, day: date, at: datetime) -> ClosingPrice:
    return ClosingPrice(
        instrument=row,
        session_date=day,
        close=exact_price(price.close),
        stored_at=at,
        **_figures(price),
    )


def _figures(price: Price) -> dict[str, Any]:
    """What a closing price and a last price both keep."""
    return {
        "previous_close": _exact(price.previous_close),
        "open": _exact(price.open),
        "high": _exact(price.high),
        "low": _exact(price.low),
        "volume": price.volume,
        "source": price.source,
        "traded_at": price.traded_at,
    }


def _exact(value: float | None) -> Decimal | None:
    return exact_price(value) if value and value > 0 else None


def _daily_candle(row: ClosingPrice, *, start: datetime) -> Candle:
    opened = row.open or row.close
    return Candle(
        instrument_id=row.instrument_id,
        interval=Candle.Interval.DAY,
        start=start,
        open=opened,
        high=max(row.high or row.close, opened, row.close),
        low=min(row.low or row.close, opened, row.close),
        close=row.close,
        volume=row.volume,
    )


def _count(prices: Mapping[str, Price]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for price in prices.values():
        counts[price.source] = counts.get(price.source, 0) + 1
    return counts
