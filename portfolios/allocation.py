"""Where a portfolio's equity lies: by share, by sector, and in cash."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mockmarket.core.money import ZERO
from portfolios import selectors
from portfolios.models import Portfolio

HUNDRED = Decimal(100)
PLACES = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Part:
    """One share or sector: its exposure (long or short, in rupees) and that in percent of all."""

    name: str
    value: Decimal
    percent: Decimal
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """Parts by size; cash stands among both lists. `largest` is the biggest single share."""

    shares: tuple[Part, ...]
    sectors: tuple[Part, ...]
    largest: Part | None


def of(*, portfolio: Portfolio, at: datetime) -> Allocation:
    """The parts of a portfolio at the newest prices. Short positions count as they are large."""
    by_share: dict[str, Decimal] = defaultdict(Decimal)
    by_sector: dict[str, Decimal] = defaultdict(Decimal)
    for position in selectors.positions(portfolio=portfolio, at=at):
        exposure = abs(position.value)
        if exposure:
            by_share[position.symbol] += exposure
            by_sector[position.sector or ""] += exposure
    cash = max(ZERO, portfolio.cash)
    whole = sum(by_share.values(), cash)
    shares = _parts(by_share, whole, link=True)
    return Allocation(
        shares=_sorted([*shares, *_cash(cash, whole)]),
        sectors=_sorted([*_parts(by_sector, whole), *_cash(cash, whole)]),
        largest=max(shares, key=lambda part: part.value, default=None),
    )


def _parts(values: dict[str, Decimal], whole: Decimal, *, link: bool = False) -> list[Part]:
    return [
        Part(name, value, _percent(value, whole), symbol=name if link else "")
        for name, value in values.items()
    ]


def _cash(cash: Decimal, whole: Decimal) -> list[Part]:
    return [Part("CASH", cash, _percent(cash, whole))] if cash else []


def _sorted(parts: list[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: (-part.value, part.name)))


def _percent(value: Decimal, whole: Decimal) -> Decimal:
    return (value / whole * HUNDRED).quantize(PLACES) if whole else ZERO
