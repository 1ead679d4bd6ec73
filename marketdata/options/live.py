"""Option chains that somebody looks at, recomputed as the spot ticks: a hook of the engine.

A page follows the topic `chain|<underlying key>|<expiry>`; the web processes' leases bring the
topics here. A followed chain is kept in memory with the board's rows of its contracts, so a
recomputation reads columns and nothing else: about 1.5 ms for 200 contracts. It is published at
most four times a second a chain, however fast the spot ticks.
"""

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import orjson
from django.db import DatabaseError

from marketdata.board import COLUMN, Board
from marketdata.engine import MarketEngine
from marketdata.hooks import Hook
from marketdata.models import Instrument
from marketdata.options import analytics, blast
from marketdata.options.chain import LIVE_COLUMNS, Chain, Floats, Side, overlay, recompute
from marketdata.options.selectors import (
    BOARD_COLUMN,
    NoSuchChain,
    swept_chain,
    years_to_expiry,
)
from mockmarket.core import bus, clock

log = logging.getLogger(__name__)

TOPIC: Final = "chain"
CHAINS_MAX: Final = 20
PUBLISH_EVERY_SECONDS: Final = 0.25
REREAD_EVERY_MS: Final = 30_000
# What the sweep brings goes along for so long after each re-read: twice the pause would be enough.
INTEREST_FOR_MS: Final = 5_000


def topic_of(underlying_key: str, expiry_date: date) -> str:
    """The topic of a chain."""
    return f"{TOPIC}|{underlying_key}|{expiry_date.isoformat()}"


def parse_topic(topic: str) -> tuple[str, date] | None:
    """Underlying key and expiry of a chain's topic; None for anything else."""
    kind, _, rest = topic.partition("|")
    underlying_key, _, expiry = rest.rpartition("|")
    if kind != TOPIC or not underlying_key:
        return None
    try:
        return underlying_key, date.fromisoformat(expiry)
    except ValueError:
        return None


@dataclass(slots=True)
class _Followed:
    """A chain in memory and where its contracts stand on the board (-1: not there)."""

    chain: Chain
    read_ms: int
    dirty: bool = True
    spot_row: int = -1
    call_rows: npt.NDArray[np.int32] | None = None
    put_rows: npt.NDArray[np.int32] | None = None


class ChainDesk(Hook):
    """Recomputes and publishes followed chains."""

    def __init__(self) -> None:
        self._engine: MarketEngine | None = None
        self._followed: dict[str, _Followed] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self, engine: MarketEngine) -> None:
        self._engine = engine
        self._followed.clear()
        self._task = asyncio.create_task(self._publish(), name="option chains")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def extra_interest(self) -> set[str]:
        """The underlyings of followed chains."""
        return {followed.chain.underlying_key for followed in self._followed.values()}

    async def on_wake(self, what: str) -> None:
        """Chains hang on prices alone, on no doorbell."""

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Mark the chains whose spot is among the changed rows."""
        for followed in self._followed.values():
            if not followed.dirty and followed.spot_row in rows:
                followed.dirty = True

    async def every_second(self, board: Board, now_ms: int) -> None:
        """Follow what is wanted, forget what is not, and re-read what the sweep renewed."""
        assert self._engine is not None
        wanted = sorted(t for t in self._engine.demand.topics if parse_topic(t))[:CHAINS_MAX]
        for topic in [topic for topic in self._followed if topic not in wanted]:
            del self._followed[topic]
        for topic in wanted:
            known = self._followed.get(topic)
            if known is None or now_ms - known.read_ms >= REREAD_EVERY_MS:
                chain = await self._engine.in_database(_read, topic)
                if chain is not None:
                    self._followed[topic] = _placed(chain, board, now_ms)
            elif known is not None:
                _place(known, board)

    async def _publish(self) -> None:
        assert self._engine is not None
        while True:
            await asyncio.sleep(PUBLISH_EVERY_SECONDS)
            for topic, followed in list(self._followed.items()):
                if not followed.dirty:
                    continue
                followed.dirty = False
                at = clock.now()
                chain = current(followed.chain, followed, self._engine.board, at)
                fresh = clock.to_ms(at) - followed.read_ms < INTEREST_FOR_MS
                if chain.spot > 0:
                    await bus.send_async(
                        bus.STREAM_GROUP,
                        {
                            "type": "stream.topic",
                            "topic": topic,
                            "event": "chain_update",
                            "json": payload(chain, interest=fresh),
                        },
                    )


def _read(topic: str) -> Chain | None:
    parsed = parse_topic(topic)
    underlying = Instrument.objects.filter(key=parsed[0]).first() if parsed else None
    if underlying is None or parsed is None:
        return None
    try:
        return swept_chain(underlying=underlying, expiry_date=parsed[1])
    except (NoSuchChain, DatabaseError):
        return None


def _placed(chain: Chain, board: Board, now_ms: int) -> _Followed:
    followed = _Followed(chain=chain, read_ms=now_ms)
    _place(followed, board)
    return followed


def _place(followed: _Followed, board: Board) -> None:
    """Look up the board's rows; contracts appear there when somebody watches them."""

    def rows(side: Side) -> npt.NDArray[np.int32]:
        found = [board.find(key) for key in side.keys]
        return np.array([-1 if row is None else row for row in found], dtype=np.int32)

    spot_row = board.find(followed.chain.underlying_key)
    followed.spot_row = -1 if spot_row is None else spot_row
    followed.call_rows, followed.put_rows = rows(followed.chain.calls), rows(followed.chain.puts)


def current(chain: Chain, followed: _Followed, board: Board, at: datetime) -> Chain:
    """The chain with the board's spot and prices, volatility and Greeks derived anew."""
    values = board.values

    def live(rows: npt.NDArray[np.int32] | None) -> dict[str, Floats]:
        assert rows is not None
        missing = rows < 0
        if missing.all():  # a board without any row yet has not even a last one
            return {name: np.full(rows.size, np.nan) for name in LIVE_COLUMNS}
        return {
            name: np.where(missing, np.nan, values[rows, COLUMN[BOARD_COLUMN[name]]])
            for name in LIVE_COLUMNS
        }

    spot = values[followed.spot_row, COLUMN["last_price"]] if followed.spot_row >= 0 else np.nan
    chain = replace(
        chain,
        years=years_to_expiry(chain.expiry_date, at),
        spot=float(spot) if spot > 0 else chain.spot,
    )
    if not chain.spot > 0:
        return chain
    return recompute(overlay(chain, calls=live(followed.call_rows), puts=live(followed.put_rows)))


_PLACES: Final = {"volatility": 4, "delta": 3, "gamma": 6, "theta": 2, "vega": 2}


def payload(chain: Chain, *, interest: bool = False) -> str:
    """The JSON of a `chain_update`: columns by side, one value a strike, null where unknown; with
    `interest` also what only a sweep changes."""
    forecast = blast.forecast(chain)
    move = analytics.expected_move(chain)
    found: dict[str, Any] = {
        "spot": chain.spot,
        "calls": _columns(chain.calls),
        "puts": _columns(chain.puts),
        "gamma_exposure": None
        if chain.interest_at is None  # zeros would wipe what the page has from a newer sweep
        else np.round(analytics.gamma_exposure(chain), 0),
        "figures": {
            "volatility": analytics.volatility_at_the_money(chain),
            "straddle": move.straddle,
            "one_deviation": move.one_deviation,
            "risk_reversal": analytics.skew(chain).risk_reversal,
            "blast": forecast.probability if forecast else None,
        },
    }
    if interest and chain.interest_at is not None:
        found["interest"] = {
            "at": chain.interest_at,
            "calls": _interest(chain.calls),
            "puts": _interest(chain.puts),
            "put_call_ratio_interest": analytics.put_call_ratio_interest(chain),
            "max_pain": analytics.max_pain(chain),
        }
    return orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def _columns(side: Side) -> dict[str, Floats]:
    return {name: np.round(getattr(side, name), places) for name, places in _PLACES.items()}


def _interest(side: Side) -> dict[str, Floats]:
    return {
        "open_interest": np.round(side.open_interest),
        "open_interest_change": np.round(side.open_interest_change),
    }
