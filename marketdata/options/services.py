"""Sweeping option chains and keeping them: the only writer of chains.

The newest chain of each underlying and expiry lies in Redis (a reader overlays live prices); rows
in the database are for the day's charts and, once a close, for the history of volatility.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import redis as redis_errors
from django.conf import settings

from marketdata.models import Instrument, OptionChainSnapshot
from marketdata.options import analytics, blast, partitions, sweep
from marketdata.options.chain import Chain, merge_sweep, recompute
from marketdata.options.selectors import cached_chain, chain_key, session_date, years_to_expiry
from mockmarket.core import redis

# A chain that was not swept for two sessions is of no use to a page.
CACHE_SECONDS = 3 * 24 * 3600
SWEEPS_PER_MINUTE_MAX = 86  # of 500 calls a minute that all fetchers share
FURTHER_EXPIRIES = {True: 3, False: 1}  # besides the nearest: of an index, of a share


class ChainSource(Protocol):
    """The part of the REST client that a sweep needs."""

    def option_chain(self, underlying_key: str, expiry_date: date) -> Sequence[Mapping[str, Any]]:
        """Rows of GET /v2/option/chain."""


def sweep_chain(
    *, source: ChainSource, underlying: Instrument, expiry_date: date, at: datetime
) -> Chain:
    """Fetch one chain, merge it, cache it and store the session's snapshot.

    Raises what the REST client raises, and sweep.UnreadableChain; then nothing is changed.
    """
    lot_size = (
        Instrument.objects.filter(underlying_key=underlying.key, expiry_date=expiry_date)
        .values_list("lot_size", flat=True)
        .first()
    )
    swept = sweep.parse_chain(
        source.option_chain(underlying.key, expiry_date),
        underlying_key=underlying.key,
        expiry_date=expiry_date,
        years=years_to_expiry(expiry_date, at),
        lot_size=lot_size or 1,
        at=at,
    )
    chain = merge_sweep(cached_chain(underlying.key, expiry_date), swept)
    _cache(chain)
    _store(chain, underlying=underlying, kind=OptionChainSnapshot.Kind.SESSION, at=at)
    return chain


def due(*, at: datetime, limit: int = SWEEPS_PER_MINUTE_MAX) -> list[tuple[Instrument, date]]:
    """Which (underlying, expiry) to sweep now, the most overdue first.

    Nearest expiries of indices are due every OPTION_SWEEP_SECONDS, of shares every 2.5 times
    that, the further ones of `FURTHER_EXPIRIES` every 7.5 times: they give the term structure.
    215 underlyings at the defaults (120 s, 300 s, 900 s) make at most 62 calls a minute.
    """
    today = session_date(at)
    listed: dict[str, list[date]] = {}
    pairs = Instrument.objects.filter(
        active=True, instrument_type__in=["CE", "PE"], expiry_date__gte=today
    ).values_list("underlying_key", "expiry_date")
    for key, expiry in pairs.distinct().order_by("underlying_key", "expiry_date"):
        if expiry is not None:
            listed.setdefault(key, []).append(expiry)
    wanted: list[tuple[Instrument, date, timedelta]] = []
    for underlying in Instrument.objects.filter(key__in=listed):
        index = underlying.segment.endswith("_INDEX")
        nearest, *further = listed[underlying.key]
        wanted.append((underlying, nearest, _pause(1.0 if index else 2.5)))
        wanted += [(underlying, day, _pause(7.5)) for day in further[: FURTHER_EXPIRIES[index]]]
    swept_at = _swept_at([(underlying.key, expiry) for underlying, expiry, _ in wanted])
    waiting: list[tuple[float, Instrument, date]] = []
    for underlying, expiry, pause in wanted:
        last = swept_at.get((underlying.key, expiry))
        overdue = (at - last) / pause if last else float("inf")
        if overdue >= 1:
            waiting.append((-overdue, underlying, expiry))
    waiting.sort(key=lambda row: (row[0], row[2], row[1].key))
    return [(underlying, expiry) for _, underlying, expiry in waiting[:limit]]


def _pause(factor: float) -> timedelta:
    return timedelta(seconds=factor * settings.OPTION_SWEEP_SECONDS)


def record_closes(*, at: datetime) -> int:
    """Keep today's last chain of each underlying and expiry for ever. Returns how many are new.

    Safe to repeat: a chain already kept for the session is left as it is.
    """
    day = session_date(at)
    newest: dict[tuple[int, date], OptionChainSnapshot] = {}
    rows = OptionChainSnapshot.objects.filter(
        kind=OptionChainSnapshot.Kind.SESSION, session_date=day
    ).order_by("taken_at")
    for row in rows.iterator(chunk_size=500):
        newest[row.underlying_id, row.expiry_date] = row
    before = OptionChainSnapshot.objects.filter(
        kind=OptionChainSnapshot.Kind.CLOSE, session_date=day
    ).count()
    closes = list(newest.values())
    for row in closes:
        row.pk = None
        row.kind = OptionChainSnapshot.Kind.CLOSE
    OptionChainSnapshot.objects.bulk_create(closes, ignore_conflicts=True)
    after = OptionChainSnapshot.objects.filter(
        kind=OptionChainSnapshot.Kind.CLOSE, session_date=day
    ).count()
    return after - before


def prune_session_snapshots(*, at: datetime) -> int:
    """Remove session snapshots older than OPTION_SESSION_DAYS. Returns how many.

    Whole partitions where there are some; the delete takes the rest.
    """
    today = session_date(at)
    oldest = today - timedelta(days=settings.OPTION_SESSION_DAYS)
    dropped = partitions.keep(today=today, oldest=oldest)
    deleted, _ = OptionChainSnapshot.objects.filter(
        kind=OptionChainSnapshot.Kind.SESSION, session_date__lt=oldest
    ).delete()
    return dropped + deleted


def _swept_at(pairs: Sequence[tuple[str, date]]) -> dict[tuple[str, date], datetime]:
    found: dict[tuple[str, date], datetime] = {}
    for underlying_key, expiry in pairs:
        chain = cached_chain(underlying_key, expiry)
        if chain is not None and chain.interest_at is not None:
            found[underlying_key, expiry] = chain.interest_at
    return found


def _cache(chain: Chain) -> None:
    try:
        redis.client().set(
            chain_key(chain.underlying_key, chain.expiry_date), sweep.pack(chain), ex=CACHE_SECONDS
        )
    except redis_errors.RedisError:
        return  # the snapshot in the database serves until the next sweep


def _store(chain: Chain, *, underlying: Instrument, kind: str, at: datetime) -> None:
    solved = recompute(chain)
    blast_forecast = blast.forecast(solved)
    OptionChainSnapshot.objects.get_or_create(
        underlying=underlying,
        expiry_date=chain.expiry_date,
        kind=kind,
        taken_at=at,
        defaults={
            "session_date": session_date(at),
            "spot": chain.spot,
            "volatility": analytics.volatility_at_the_money(solved),
            "put_call_ratio": analytics.put_call_ratio_interest(chain),
            "max_pain": analytics.max_pain(chain),
            "blast_probability": blast_forecast.probability if blast_forecast else None,
            "blast_move": blast_forecast.move if blast_forecast else None,
            "columns": sweep.pack_small(solved),
        },
    )
