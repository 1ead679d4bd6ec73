"""Reading option chains: contracts, the merged live chain, and the history of volatility."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta

import numpy as np
import redis as redis_errors

from marketdata.board import COLUMN
from marketdata.interest import STRIP
from marketdata.mirror import mirror
from marketdata.models import Instrument, OptionChainSnapshot
from marketdata.options import analytics, blast, sweep
from marketdata.options.blast import Forecast, Record
from marketdata.options.chain import LIVE_COLUMNS, Chain, Floats, Side, overlay, recompute
from mockmarket.core import clock, redis
from mockmarket.core.errors import NotFound

EXPIRY_TIME = time(15, 30)  # index and share options of NSE settle on the day's closing price
HISTORY_DAYS = 365
BOARD_COLUMN = {
    "last_price": "last_price",
    "bid": "bid",
    "ask": "ask",
    "volume": "volume",
    "price_ms": "timestamp_ms",
}


class NoSuchChain(NotFound):
    code = "unknown_option_chain"


def session_date(at: datetime) -> date:
    """The calendar date in India."""
    return at.astimezone(clock.IST).date()


def years_to_expiry(expiry_date: date, at: datetime) -> float:
    """Years of 365 days until the close of the expiry day; 0 after it."""
    expiry = datetime.combine(expiry_date, EXPIRY_TIME, tzinfo=clock.IST)
    return max((expiry - at) / timedelta(days=365), 0.0)


def chain_key(underlying_key: str, expiry_date: date) -> str:
    """Where the newest chain lies in Redis."""
    return redis.key("chain", underlying_key, expiry_date.isoformat())


def underlyings() -> list[Instrument]:
    """Everything that has listed options: indices as in the strip, then shares by symbol."""
    keys = (
        Instrument.objects.filter(active=True, instrument_type__in=["CE", "PE"])
        .values_list("underlying_key", flat=True)
        .distinct()
    )
    found = Instrument.objects.filter(key__in=list(keys))
    place = {key: position for position, key in enumerate(STRIP)}
    return sorted(
        found,
        key=lambda u: (not u.segment.endswith("_INDEX"), place.get(u.key, len(place)), u.symbol),
    )


def expiries(*, underlying: Instrument, at: datetime) -> list[date]:
    """Listed expiry dates from today on, nearest first."""
    dates = (
        Instrument.objects.filter(
            underlying_key=underlying.key,
            active=True,
            instrument_type__in=["CE", "PE"],
            expiry_date__gte=session_date(at),
        )
        .values_list("expiry_date", flat=True)
        .distinct()
        .order_by("expiry_date")
    )
    return [day for day in dates if day is not None]


def cached_chain(underlying_key: str, expiry_date: date) -> Chain | None:
    """The chain as last swept; None when there is none, it is unreadable or Redis is away."""
    try:
        packed = redis.client().get(chain_key(underlying_key, expiry_date))
    except redis_errors.RedisError:
        return None
    if not isinstance(packed, bytes):
        return None
    try:
        return sweep.unpack(packed)
    except sweep.UnreadableChain:
        return None


def live_chain(*, underlying: Instrument, expiry_date: date, at: datetime) -> Chain:
    """The merged chain: contracts from the database, interest as last swept, prices as they are.

    Volatility and Greeks are derived anew from the live prices and spot. Raises NoSuchChain for
    an expiry without contracts.
    """
    chain = swept_chain(underlying=underlying, expiry_date=expiry_date)
    board = mirror()
    board.refresh()
    spot = board.last_price(underlying.key)
    chain = replace(
        chain,
        years=years_to_expiry(expiry_date, at),
        spot=spot if spot is not None and spot > 0 else chain.spot,
    )
    live = overlay(chain, calls=_live(chain.calls.keys), puts=_live(chain.puts.keys))
    return recompute(live) if live.spot > 0 else live


def swept_chain(*, underlying: Instrument, expiry_date: date) -> Chain:
    """The chain as last swept; before any sweep, its bare contracts. Raises NoSuchChain."""
    for found in (cached_chain, _stored_chain):
        chain = found(underlying.key, expiry_date)
        if chain is not None and _has_todays_strikes(chain):
            return chain
    return _listed_chain(underlying, expiry_date)


def _has_todays_strikes(chain: Chain) -> bool:
    """Not after a split, until the next sweep. It adjusts all contracts of a share: one tells."""
    sides = zip(chain.calls.keys, chain.puts.keys, chain.strikes.tolist(), strict=True)
    key, strike = next(((call or put, strike) for call, put, strike in sides), ("", 0.0))
    listed = Instrument.objects.filter(key=key).values_list("strike_price", flat=True).first()
    return listed is None or abs(float(listed) - strike) < 0.005


def _live(keys: Sequence[str]) -> dict[str, Floats]:
    columns = {name: np.full(len(keys), np.nan) for name in LIVE_COLUMNS}
    known = mirror().rows(keys)
    for position, key in enumerate(keys):
        row = known.get(key)
        if row is not None:
            for name in LIVE_COLUMNS:
                columns[name][position] = row[COLUMN[BOARD_COLUMN[name]]]
    return columns


def _stored_chain(underlying_key: str, expiry_date: date) -> Chain | None:
    row = (
        OptionChainSnapshot.objects.filter(underlying__key=underlying_key, expiry_date=expiry_date)
        .order_by("-taken_at")
        .first()
    )
    return sweep.unpack(bytes(row.columns)) if row else None


def _listed_chain(underlying: Instrument, expiry_date: date) -> Chain:
    """A chain of which only the contracts are known."""
    contracts = Instrument.objects.filter(
        underlying_key=underlying.key,
        expiry_date=expiry_date,
        active=True,
        instrument_type__in=["CE", "PE"],
        strike_price__isnull=False,
    )
    by_strike: dict[float, dict[str, Instrument]] = {}
    for contract in contracts:
        assert contract.strike_price is not None
        by_strike.setdefault(float(contract.strike_price), {})[contract.instrument_type] = contract
    if not by_strike:
        raise NoSuchChain(f"{underlying.symbol} has no options that expire on {expiry_date}.")
    strikes = sorted(by_strike)
    sides = [
        Side.empty(tuple(c.key if (c := by_strike[k].get(kind)) else "" for k in strikes))
        for kind in ("CE", "PE")
    ]
    return Chain(
        underlying_key=underlying.key,
        expiry_date=expiry_date,
        strikes=np.array(strikes),
        calls=sides[0],
        puts=sides[1],
        spot=0.0,
        years=0.0,
        lot_size=next(iter(next(iter(by_strike.values())).values())).lot_size,
    )


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that the option page says of a chain besides its rows."""

    spot: float
    put_call_ratio_interest: float | None
    put_call_ratio_volume: float | None
    max_pain: float | None
    volatility: float | None
    volatility_rank: float | None
    volatility_percentile: float | None
    history_days: int
    skew: analytics.Skew
    expected_move: analytics.ExpectedMove
    gamma_exposure_total: float
    gamma_flip: float | None
    in_the_money: analytics.InTheMoney
    blast: Forecast | None
    blast_record: Record
    interest_at: datetime | None


def analysis(*, underlying: Instrument, chain: Chain, at: datetime) -> Analysis:
    """The chain's figures, with ranks from our own stored closes and the blast figure's record."""
    volatility = analytics.volatility_at_the_money(chain)
    history = volatility_history(underlying=underlying, at=at)
    return Analysis(
        spot=chain.spot,
        put_call_ratio_interest=analytics.put_call_ratio_interest(chain),
        put_call_ratio_volume=analytics.put_call_ratio_volume(chain),
        max_pain=analytics.max_pain(chain),
        volatility=volatility,
        volatility_rank=None
        if volatility is None
        else analytics.volatility_rank(history, volatility),
        volatility_percentile=None
        if volatility is None
        else analytics.volatility_percentile(history, volatility),
        history_days=len(history),
        skew=analytics.skew(chain),
        expected_move=analytics.expected_move(chain),
        gamma_exposure_total=float(np.nansum(analytics.gamma_exposure(chain))),
        gamma_flip=analytics.gamma_flip(chain),
        in_the_money=analytics.in_the_money(chain),
        blast=blast.forecast(chain),
        blast_record=blast_record(underlying=underlying, at=at),
        interest_at=chain.interest_at,
    )


def volatility_history(*, underlying: Instrument, at: datetime) -> list[float]:
    """At-the-money volatility of the nearest expiry at each stored close of the last year."""
    rows = (
        OptionChainSnapshot.objects.filter(
            underlying=underlying,
            kind=OptionChainSnapshot.Kind.CLOSE,
            session_date__gte=session_date(at) - timedelta(days=HISTORY_DAYS),
            volatility__isnull=False,
        )
        .order_by("session_date", "expiry_date")
        .values_list("session_date", "volatility")
    )
    nearest: dict[date, float] = {}
    for day, volatility in rows:
        if volatility is not None:
            nearest.setdefault(day, volatility)
    return list(nearest.values())


def blast_record(*, underlying: Instrument, at: datetime) -> Record:
    """How the stored blast figures of this underlying came out.

    A forecast is judged by the stored spots within its minutes; those without a later spot are
    not counted.
    """
    rows = list(
        OptionChainSnapshot.objects.filter(
            underlying=underlying,
            kind=OptionChainSnapshot.Kind.SESSION,
            blast_probability__isnull=False,
            session_date__gte=session_date(at) - timedelta(days=HISTORY_DAYS),
        )
        .order_by("expiry_date", "taken_at")
        .values_list("expiry_date", "taken_at", "spot", "blast_probability", "blast_move")
    )
    horizon = timedelta(minutes=blast.MINUTES)
    outcomes: list[tuple[float, bool]] = []
    for index, (expiry, taken_at, spot, probability, move) in enumerate(rows):
        later = []
        for other_expiry, other_at, other_spot, _, _ in rows[index + 1 :]:
            if other_expiry != expiry or other_at > taken_at + horizon:
                break
            later.append(other_spot)
        if later and probability is not None and move is not None:
            outcomes.append((probability, max(abs(s - spot) for s in later) > move))
    return blast.record(outcomes)
