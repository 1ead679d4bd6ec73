"""What N users need, from measured costs: a simulated second of the busiest minute, many times.

Each simulated second draws the ticks of every instrument, who watches them and the orders placed,
and adds up what the web processes, the engine, the database and the network would have to do.

users_N_web_processes     web processes so that the 99th percentile second uses 70 % of each
users_N_engines           engines, sharded by instrument, by the same rule
users_N_orders_p99        orders in the 99th percentile second
users_N_megabits_p99      out to browsers in that second
users_N_bus_megabits      through Redis: one batch for each web process
users_N_web_memory_gb     sockets and mirrors
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import common

USERS = (50, 1_000, 100_000)
BUSY = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Of one core of the machine that measured them; docs/operations/scaling.md says where."""

    # The hub: `hub_cores` with these three gives the rows of ADR 0033's table.
    hub_idle_cores: float = 0.082  # hearing and mirroring fifty batches a second
    frame_seconds: float = 8.0e-6  # one write to one socket
    update_seconds: float = 0.39e-6  # one price in a frame
    encoded_per_core_second: float = 60_000.0  # changed instruments turned into JSON once
    ticks_per_core_second: float = 100_000.0  # engine: gate, board, matching
    fills_per_core_second: float = 600.0  # engine: decided, booked, published
    valued_portfolios_per_core_second: float = 1_000_000.0  # 20 positions each
    page_cpu_seconds: float = 0.02
    order_cpu_seconds: float = 0.012
    bytes_per_update: float = 165.0
    bus_bytes_per_row: float = 140.0
    socket_bytes: float = 60_000.0
    process_bytes: float = 180e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Behaviour:
    """Of the busiest minute: everybody is there, the open has just rung."""

    instruments: int = 2_200
    ticks_per_instrument_second: float = 1.0
    watched: int = 40
    orders_per_user_minute: float = 1.0
    pages_per_user_minute: float = 3.0
    # The hub lengthens its beat under load, up to a second. A beat of this length is what
    # machines are counted for: a price is then 50 ms old on average when it goes out.
    beats_per_second: float = 10.0


def hub_cores(*, costs: Costs, sockets: float, beats_per_second: float, updates: float) -> float:
    """Cores of one hub that writes to `sockets` at each beat, `updates` prices a second in all."""
    frames = sockets * beats_per_second
    return costs.hub_idle_cores + frames * costs.frame_seconds + updates * costs.update_seconds


def simulate(
    *, users: int, costs: Costs, behaviour: Behaviour, seconds: int, seed: int = 1
) -> dict[str, float]:
    """Needs of `users`, from `seconds` simulated ones. Reproducible by `seed`."""
    chance = np.random.default_rng(seed)
    # Watching follows a power law: half of everybody looks at the same few shares.
    weight = 1.0 / np.arange(1, behaviour.instruments + 1) ** 0.8
    watchers = users * behaviour.watched * weight / weight.sum()
    ticking = behaviour.ticks_per_instrument_second * weight / weight.mean()
    web, engine, orders_all, megabits = [], [], [], []
    for _ in range(seconds):
        ticks = chance.poisson(ticking)
        # A socket gets the newest value of a beat, so an instrument counts once a beat at most.
        told = np.minimum(ticks, behaviour.beats_per_second)
        updates = float((told * np.minimum(watchers, users)).sum())
        orders = int(chance.poisson(users * behaviour.orders_per_user_minute / 60))
        pages = int(chance.poisson(users * behaviour.pages_per_user_minute / 60))
        web.append(
            users * behaviour.beats_per_second * costs.frame_seconds
            + updates * costs.update_seconds
            + orders * costs.order_cpu_seconds
            + pages * costs.page_cpu_seconds
        )
        engine.append(
            ticks.sum() / costs.ticks_per_core_second
            + orders / costs.fills_per_core_second
            + users / costs.valued_portfolios_per_core_second
        )
        orders_all.append(orders)
        megabits.append(updates * costs.bytes_per_update * 8 / 1e6)
    rows = behaviour.instruments * behaviour.ticks_per_instrument_second
    # Every web process hears every batch and encodes every changed row once.
    share = BUSY - costs.hub_idle_cores - rows / costs.encoded_per_core_second
    processes = max(1, math.ceil(float(np.percentile(web, 99)) / share))
    return {
        "web_processes": processes,
        "engines": max(1, math.ceil(float(np.percentile(engine, 99)) / BUSY)),
        "orders_p99": float(np.percentile(orders_all, 99)),
        "megabits_p99": round(float(np.percentile(megabits, 99)), 1),
        "bus_megabits": round(processes * rows * costs.bus_bytes_per_row * 8 / 1e6, 1),
        "web_memory_gb": round(
            (users * costs.socket_bytes + processes * costs.process_bytes) / 1e9, 1
        ),
    }


def measure(*, quick: bool) -> dict[str, Any]:
    """Needs of each size; the costs that they rest on come with them."""
    costs, behaviour = Costs(), Behaviour()
    result: dict[str, Any] = {}
    for users in USERS:
        needs = simulate(
            users=users, costs=costs, behaviour=behaviour, seconds=60 if quick else 600
        )
        result |= {f"users_{users}_{name}": value for name, value in needs.items()}
    return result


if __name__ == "__main__":
    common.run("scaling", measure)
