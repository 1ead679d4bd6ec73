"""The engine's hook for corporate actions: a share's prices and holdings change under it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog
from django.db import DatabaseError

from marketdata import loading
from marketdata.board import Board
from marketdata.engine import MarketEngine
from marketdata.models import LastPrice
from marketdata.quotes import Tick
from mockmarket.core import clock
from trading.corporate_actions import contracts
from trading.models import CorporateAction, CorporateActionStep

# An engine that slept looks this far back for what happened meanwhile.
RECENT: Final = timedelta(minutes=10)
# A frame of the old prices may still be on its way: the gate forgets the old close this often.
FORGET_SECONDS: Final = 3

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Changed:
    """What recent actions touched: prices to take over, shares, portfolios to read again."""

    ticks: tuple[Tick, ...]
    keys: frozenset[str]
    portfolios: frozenset[int]


def recent(*, at: datetime) -> Changed:
    """What actions applied or reversed of late have changed."""
    since = at - RECENT
    actions = CorporateAction.objects.filter(applied_at__gte=since) | (
        CorporateAction.objects.filter(reversed_at__gte=since)
    )
    found = list(actions.select_related("instrument"))
    kept = LastPrice.objects.select_related("instrument").filter(
        instrument_id__in={pk for action in found for pk in contracts.concerned(action)}
    )
    steps = CorporateActionStep.objects.filter(action__in=found)
    return Changed(
        ticks=tuple(loading.tick_of(row, at) for row in kept),
        keys=frozenset(action.instrument.key for action in found),
        portfolios=frozenset(steps.values_list("portfolio_id", flat=True)),
    )


class CorporateActionDesk:
    """`on_booked` has the portfolios read again, as after a fill."""

    def __init__(self, *, on_booked: Callable[[Collection[int]], None]) -> None:
        self._on_booked = on_booked
        self._engine: MarketEngine | None = None
        self._forgetting: frozenset[str] = frozenset()
        self._seconds_left = 0

    async def start(self, engine: MarketEngine) -> None:
        """The board was filled from the database, which has the new prices."""
        self._engine = engine

    async def stop(self) -> None:
        """Nothing runs."""

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Nothing: prices change an action in no way."""

    def extra_interest(self) -> set[str]:
        """Nothing of its own."""
        return set()

    async def every_second(self, board: Board, now_ms: int) -> None:
        """Until no old frame can be on its way."""
        if self._seconds_left:
            self._seconds_left -= 1
            self._forget()

    async def on_wake(self, what: str) -> None:
        """An action was applied or reversed."""
        if what != "corporate_actions":
            return
        engine = self._engine
        assert engine is not None, "doorbells ring after the start"
        try:
            changed: Changed = await engine.in_database(recent, at=clock.now())
        except DatabaseError:
            log.exception("corporate actions could not be read; prices follow with the next tick")
            return
        # Past the gate and the other hooks: no trade happened, nothing may fire or fill.
        engine.board.merge(changed.ticks)
        self._forgetting, self._seconds_left = changed.keys, FORGET_SECONDS
        self._forget()
        self._on_booked(changed.portfolios)

    def _forget(self) -> None:
        assert self._engine is not None
        for key in self._forgetting:
            self._engine.gate.forget_close(key)
