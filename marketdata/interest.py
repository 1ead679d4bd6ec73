"""Who wants which instrument, and what of it the feed can carry. Pure.

Every web process leaves a lease: the keys its sockets watch, how many watch each, and the keys
whose depth is open. Orders, positions and the index strip want keys too. The plan gives each
key a mode within Upstox's caps; what does not fit comes by REST.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from marketdata import universe

Mode = Literal["ltpc", "full"]

# The nine indices that every page shows.
STRIP: Final = tuple(row.key for row in universe.indices())

# Upstox's caps for one user: keys when a category stands alone, and when they are mixed.
FULL_ALONE_MAX: Final = 2_000
FULL_MIXED_MAX: Final = 1_500
LTPC_MIXED_MAX: Final = 2_000
# A key stays subscribed this long after its last watcher left: page changes come in bursts.
LINGER_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """What one web process holds, as it wrote it to Redis."""

    keys: Mapping[str, int]
    depth: frozenset[str] = frozenset()
    users: frozenset[int] = frozenset()
    sockets: int = 0
    topics: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Demand:
    """All leases together: watchers by key, open depth, users, sockets, followed topics."""

    watchers: Mapping[str, int] = field(default_factory=dict)
    depth: frozenset[str] = frozenset()
    users: frozenset[int] = frozenset()
    sockets: int = 0
    processes: int = 0
    topics: frozenset[str] = frozenset()


def add_up(leases: Iterable[Lease]) -> Demand:
    """The demand of all web processes."""
    watchers: dict[str, int] = {}
    depth: set[str] = set()
    users: set[int] = set()
    topics: set[str] = set()
    sockets = processes = 0
    for lease in leases:
        processes += 1
        sockets += lease.sockets
        depth |= lease.depth
        users |= lease.users
        topics |= lease.topics
        for key, count in lease.keys.items():
            watchers[key] = watchers.get(key, 0) + count
    return Demand(
        watchers=watchers,
        depth=frozenset(depth),
        users=frozenset(users),
        sockets=sockets,
        processes=processes,
        topics=frozenset(topics),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What the feed shall carry, and what is wanted but does not fit."""

    modes: Mapping[str, Mode]
    by_rest: frozenset[str]


def plan(*, demand: Demand, money: Iterable[str], strip: Iterable[str] = STRIP) -> Plan:
    """Modes by key. `money` are the keys of live orders and open positions.

    The strip and what money rides on come first, then open depth, then the most watched;
    equal claims in the order of their keys, so that the plan does not flutter.
    """
    first = dict.fromkeys((*strip, *sorted(money), *sorted(demand.depth)))
    rest = sorted(
        (key for key in demand.watchers if key not in first),
        key=lambda key: (-demand.watchers[key], key),
    )
    order = [*first, *rest]
    if len(order) <= FULL_ALONE_MAX:
        return Plan(dict.fromkeys(order, "full"), frozenset())
    modes: dict[str, Mode] = dict.fromkeys(order[:FULL_MIXED_MAX], "full")
    carried = FULL_MIXED_MAX + LTPC_MIXED_MAX
    modes.update(dict.fromkeys(order[FULL_MIXED_MAX:carried], "ltpc"))
    return Plan(modes, frozenset(order[carried:]))


@dataclass(frozen=True, slots=True)
class Change:
    """What to tell the feed, mode by mode."""

    subscribe: Mapping[Mode, list[str]]
    change_mode: Mapping[Mode, list[str]]
    unsubscribe: list[str]

    def __bool__(self) -> bool:
        return bool(self.subscribe or self.change_mode or self.unsubscribe)


def difference(*, held: Mapping[str, Mode], wanted: Mapping[str, Mode]) -> Change:
    """The steps from what the feed holds to what is wanted."""
    subscribe: dict[Mode, list[str]] = {}
    change_mode: dict[Mode, list[str]] = {}
    for key, mode in wanted.items():
        before = held.get(key)
        if before is None:
            subscribe.setdefault(mode, []).append(key)
        elif before != mode:
            change_mode.setdefault(mode, []).append(key)
    return Change(subscribe, change_mode, [key for key in held if key not in wanted])


class Lingering:
    """Keeps keys wanted for a while after nobody wants them any more."""

    def __init__(self, *, seconds: float = LINGER_SECONDS) -> None:
        self._seconds = seconds
        self._last_wanted: dict[str, float] = {}

    def extend(self, *, wanted: Iterable[str], now: float) -> set[str]:
        """Keys that left within the last seconds and may stay where there is room."""
        current = set(wanted)
        for key in current:
            self._last_wanted[key] = now
        for key in [k for k, at in self._last_wanted.items() if now - at > self._seconds]:
            del self._last_wanted[key]
        return set(self._last_wanted) - current
