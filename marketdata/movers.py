"""Movers, breadth and sectors over the board's columns. Pure numpy, no I/O.

Every function takes the rows that count (the share universe) as one array of FIELDS columns and
answers with positions in it, so that the caller keeps the names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from marketdata.board import COLUMN

Values = npt.NDArray[np.float64]
Kind = Literal["gainers", "losers", "active_value", "active_volume"]
KINDS: Final[tuple[Kind, ...]] = ("gainers", "losers", "active_value", "active_volume")


def change_percent(values: Values) -> Values:
    """Change from the previous close in percent, NaN where either is unknown."""
    close = values[:, COLUMN["previous_close"]]
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Values = (values[:, COLUMN["last_price"]] / close - 1.0) * 100.0
    change[~(close > 0)] = np.nan
    return change


def turnover(values: Values) -> Values:
    """Rupees traded today: volume × average price (last price where no average is known)."""
    price = values[:, COLUMN["average_price"]].copy()
    unknown = np.isnan(price)
    price[unknown] = values[unknown, COLUMN["last_price"]]
    traded: Values = values[:, COLUMN["volume"]] * price
    return traded


def top(*, values: Values, kind: Kind, limit: int) -> list[int]:
    """Positions of the strongest, best first; ties in the order of rows, unknowns left out.

    A gainer has risen and a loser has fallen: on a falling day the gainers may be few.
    """
    if kind in ("gainers", "losers"):
        measure = change_percent(values)
        if kind == "losers":
            measure = -measure
    else:
        measure = turnover(values) if kind == "active_value" else values[:, COLUMN["volume"]]
    candidates = np.flatnonzero(measure > 0)  # NaN compares false
    order = np.argsort(-measure[candidates], kind="stable")[:limit]
    return [int(position) for position in candidates[order]]


@dataclass(frozen=True, slots=True)
class Breadth:
    """How many shares rose, fell and stood, and how many are at the day's high or low."""

    advances: int
    declines: int
    unchanged: int
    at_high: int
    at_low: int
    median_change_percent: float

    @property
    def total(self) -> int:
        return self.advances + self.declines + self.unchanged

    @property
    def ratio(self) -> float | None:
        """Advances for each decline; None when nothing fell."""
        return self.advances / self.declines if self.declines else None


def breadth(*, values: Values) -> Breadth:
    """Breadth of the rows whose change is known."""
    change = change_percent(values)
    known = ~np.isnan(change)
    last, high, low = (values[known, COLUMN[name]] for name in ("last_price", "high", "low"))
    moved = high > low  # a share that has traded at one price is at no extreme
    return Breadth(
        advances=int((change[known] > 0).sum()),
        declines=int((change[known] < 0).sum()),
        unchanged=int((change[known] == 0).sum()),
        at_high=int((moved & (last >= high)).sum()),
        at_low=int((moved & (last <= low)).sum()),
        median_change_percent=float(np.median(change[known])) if known.any() else 0.0,
    )


@dataclass(frozen=True, slots=True)
class Sector:
    """One sector: turnover-weighted change, and its members' positions by change, best first."""

    name: str
    change_percent: float
    advances: int
    declines: int
    turnover: float
    members: tuple[int, ...]


def sectors(*, values: Values, names: Sequence[str]) -> list[Sector]:
    """Sectors of the rows, by change, best first; rows without a sector or a price left out.

    Weights are the day's turnover, so that a large share counts as the market counts it;
    before anything has traded each member weighs the same.
    """
    change, traded = change_percent(values), np.nan_to_num(turnover(values))
    members: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        if name and not np.isnan(change[position]):
            members.setdefault(name, []).append(position)
    found = []
    for name, positions in members.items():
        rows = np.array(positions)
        weights = traded[rows] if traded[rows].sum() > 0 else np.ones(len(rows))
        order = rows[np.argsort(-change[rows], kind="stable")]
        found.append(
            Sector(
                name=name,
                change_percent=float(np.average(change[rows], weights=weights)),
                advances=int((change[rows] > 0).sum()),
                declines=int((change[rows] < 0).sum()),
                turnover=float(traded[rows].sum()),
                members=tuple(int(position) for position in order),
            )
        )
    return sorted(found, key=lambda sector: (-sector.change_percent, sector.name))
