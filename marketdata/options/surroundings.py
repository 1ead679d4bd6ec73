"""What a chain is read against: its futures, other expiries, usual volumes, yesterday's range."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from django.conf import settings
from django.db.models import Q

from marketdata.models import Candle, Instrument, OptionChainSnapshot
from marketdata.options import analytics, sweep
from marketdata.options.chain import Chain, Floats, Side
from marketdata.options.selectors import expiries, live_chain, session_date
from mockmarket.core.clock import IST

# A snapshot this near in the time of day counts as the usual of that time.
SAME_TIME = timedelta(minutes=10)
SPIKE_FACTOR = 3.0
SPIKE_LOTS_MIN = 100
SPIKES_SHOWN = 6


def futures(*, underlying: Instrument, at: datetime) -> list[Instrument]:
    """Listed futures of an underlying, nearest first."""
    found = Instrument.objects.filter(
        underlying_key=underlying.key,
        instrument_type="FUT",
        active=True,
        expiry_date__gte=session_date(at),
    )
    return list(found.order_by("expiry_date"))


def term_structure(
    *, underlying: Instrument, at: datetime, known: Chain | None = None
) -> list[tuple[date, float]]:
    """At-the-money volatility by expiry, from the live chains (`known` is one at hand); unswept
    expiries are left out."""
    points = []
    for expiry in expiries(underlying=underlying, at=at):
        chain = known
        if chain is None or chain.expiry_date != expiry:
            chain = live_chain(underlying=underlying, expiry_date=expiry, at=at)
        volatility = analytics.volatility_at_the_money(chain)
        if volatility is not None:
            points.append((expiry, volatility))
    return points


@dataclass(frozen=True, slots=True)
class Spike:
    """A contract that trades far more than it usually has by this time of day."""

    strike: float
    kind: str  # CE, PE
    volume: float
    times: float


def volume_spikes(*, underlying: Instrument, chain: Chain, at: datetime) -> list[Spike]:
    """Contracts with at least `SPIKE_FACTOR` times the mean volume that our own snapshots of
    earlier sessions have for this time of day, the strongest first; none without snapshots."""
    earlier = _earlier_chains(underlying, chain.expiry_date, at)
    if not earlier:
        return []
    found: list[Spike] = []
    for kind, side, others in (
        ("CE", chain.calls, [one.calls for one in earlier]),
        ("PE", chain.puts, [one.puts for one in earlier]),
    ):
        usual = _usual(side.keys, others)
        volume = np.nan_to_num(side.volume)
        spikes = analytics.volume_spikes(
            volume, usual, factor=SPIKE_FACTOR, minimum=SPIKE_LOTS_MIN * chain.lot_size
        )
        found += [
            Spike(
                strike=float(chain.strikes[row]),
                kind=kind,
                volume=float(volume[row]),
                times=float(volume[row] / usual[row]),
            )
            for row in np.flatnonzero(spikes)
        ]
    return sorted(found, key=lambda spike: -spike.times)[:SPIKES_SHOWN]


def _earlier_chains(underlying: Instrument, expiry_date: date, at: datetime) -> list[Chain]:
    windows = Q()
    for back in range(1, settings.OPTION_SESSION_DAYS + 1):
        then = at - timedelta(days=back)
        windows |= Q(taken_at__range=(then - SAME_TIME, then + SAME_TIME))
    rows = OptionChainSnapshot.objects.filter(
        windows,
        underlying=underlying,
        expiry_date=expiry_date,
        kind=OptionChainSnapshot.Kind.SESSION,
    )
    newest = {row.session_date: row for row in rows.order_by("taken_at")}
    return [sweep.unpack(bytes(row.columns)) for row in newest.values()]


def _usual(keys: Sequence[str], others: Sequence[Side]) -> Floats:
    """Mean volume by contract over the sessions that know it; 0 where none does."""
    known = [dict(zip(side.keys, side.volume.tolist(), strict=True)) for side in others]
    means = []
    for key in keys:
        volumes = [one[key] for one in known if one.get(key, np.nan) == one.get(key, np.nan)]
        means.append(sum(volumes) / len(volumes) if volumes else 0.0)
    return np.array(means)


@dataclass(frozen=True, slots=True)
class Range:
    """The range of the newest daily candle before today, and where the spot stands to it."""

    day: date
    low: float
    high: float
    breakout: analytics.Breakout | None


def yesterday(*, underlying: Instrument, spot: float, at: datetime) -> Range | None:
    """Yesterday's range; None without a daily candle of the last week."""
    today = datetime.combine(session_date(at), datetime.min.time(), IST)
    candle = (
        Candle.objects.filter(
            instrument=underlying,
            interval=Candle.Interval.DAY,
            start__gte=today - timedelta(days=8),
            start__lt=today,
        )
        .order_by("-start")
        .first()
    )
    if candle is None or not spot > 0:
        return None
    low, high = float(candle.low), float(candle.high)
    return Range(
        day=session_date(candle.start),
        low=low,
        high=high,
        breakout=analytics.breakout(spot, range_low=low, range_high=high),
    )
