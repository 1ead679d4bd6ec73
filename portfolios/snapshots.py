"""The newest valuation of a contest, left in Redis by the engine each second for the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec
import numpy as np
import redis as redis_errors

from mockmarket.core import redis
from mockmarket.core.clock import from_ms
from portfolios.book import Floats, Ints, Snapshot

# An engine that has said nothing for this long is not believed.
AGE_MS_MAX = 15_000

_FLOATS = ("equity", "invested", "unrealised", "day_pnl", "return_percent")
_INTS = ("ids", "rank")


@dataclass(frozen=True, slots=True)
class ContestSnapshot:
    """One contest's part of a snapshot; arrays run parallel, in the order of portfolio ids."""

    snapshot_id: int
    at_ms: int
    price_age_ms: int | None
    of: int
    ids: Ints
    rank: Ints
    equity: Floats
    invested: Floats
    unrealised: Floats
    day_pnl: Floats
    return_percent: Floats

    @property
    def as_of(self) -> datetime:
        return from_ms(self.at_ms)

    def place(self, portfolio_id: int) -> int | None:
        """Where a portfolio stands in the arrays; None when it is not valued here."""
        found = int(np.searchsorted(self.ids, portfolio_id))
        return found if found < len(self.ids) and self.ids[found] == portfolio_id else None


def empty(*, at_ms: int) -> ContestSnapshot:
    """A contest that nobody has joined."""
    return ContestSnapshot(
        snapshot_id=at_ms,
        at_ms=at_ms,
        price_age_ms=None,
        of=0,
        ids=np.zeros(0, np.int64),
        rank=np.zeros(0, np.int64),
        equity=np.zeros(0),
        invested=np.zeros(0),
        unrealised=np.zeros(0),
        day_pnl=np.zeros(0),
        return_percent=np.zeros(0),
    )


def split(snapshot: Snapshot) -> dict[int, ContestSnapshot]:
    """A snapshot by contest id."""
    order = np.lexsort((snapshot.ids, snapshot.contest))
    contest = snapshot.contest[order]
    edges = np.flatnonzero(np.diff(contest)) + 1
    parts = {}
    for places in np.split(order, edges):
        if len(places):
            key = int(snapshot.contest[places[0]])
            parts[key] = ContestSnapshot(
                snapshot_id=snapshot.snapshot_id,
                at_ms=snapshot.at_ms,
                price_age_ms=snapshot.price_age_ms,
                of=snapshot.of.get(key, 0),
                **{name: getattr(snapshot, name)[places] for name in (*_INTS, *_FLOATS)},
            )
    return parts


def encode(part: ContestSnapshot) -> bytes:
    """One contest as msgpack; numbers of the arrays as bytes of int64 and float64."""
    body: dict[str, Any] = {
        "snapshot_id": part.snapshot_id,
        "at_ms": part.at_ms,
        "price_age_ms": part.price_age_ms,
        "of": part.of,
    }
    for name in (*_INTS, *_FLOATS):
        body[name] = getattr(part, name).tobytes()
    return msgspec.msgpack.encode(body)


def decode(blob: bytes) -> ContestSnapshot:
    """The inverse of `encode`."""
    body: dict[str, Any] = msgspec.msgpack.decode(blob)
    body |= {name: np.frombuffer(body[name], np.int64) for name in _INTS}
    body |= {name: np.frombuffer(body[name], np.float64) for name in _FLOATS}
    return ContestSnapshot(**body)


def store(parts: Mapping[int, ContestSnapshot]) -> None:
    """Leave the newest valuation for every process. Raises redis.RedisError."""
    name = redis.key("valuation")
    pipe = redis.client().pipeline(transaction=True)
    pipe.delete(name)
    if parts:
        pipe.hset(name, mapping={str(key): encode(part) for key, part in parts.items()})
    pipe.execute()


def newest(*, contest_id: int, at: datetime) -> ContestSnapshot | None:
    """The engine's newest valuation of a contest; None when there is none, it is too old, or
    Redis is away: the caller then values the contest itself."""
    try:
        blob = cast("bytes | None", redis.client().hget(redis.key("valuation"), str(contest_id)))
    except redis_errors.RedisError:
        return None
    if blob is None:
        return None
    part = decode(blob)
    return part if at.timestamp() * 1000 - part.at_ms <= AGE_MS_MAX else None
