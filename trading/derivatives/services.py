"""The derivatives' day in one call: expiry, daily settlement, margin. Safe to repeat."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import structlog
from django.db import DatabaseError

from mockmarket.core.errors import DomainError
from trading.derivatives import margins, settling
from trading.selectors import NoSchedule

log = structlog.get_logger(__name__)

_Row = TypeVar("_Row")


@dataclass(slots=True)
class Report:
    """How many of each were done."""

    expired: int = 0
    ended: int = 0
    marked: int = 0
    margins: int = 0
    called: int = 0
    failed: int = 0


def reconcile(*, at: datetime) -> Report:
    """Settle what has expired, mark futures to the last session's close, reckon margin anew.

    In this order: what expires needs no mark, and margin is reckoned on what is left.
    """
    report = Report()
    report.expired = _each(settling.expired(at=at), report, lambda p: settling.expire(p, at=at))
    report.ended = _each(
        settling.left_over(at=at), report, lambda row: settling.end_left_over(row, at=at)
    )
    report.marked = _each(settling.unmarked(at=at), report, lambda due: settling.mark(due, at=at))

    def reckon(group: tuple[int, str]) -> bool:
        portfolio_id, underlying_key = group
        done = margins.reckon(portfolio_id=portfolio_id, underlying_key=underlying_key, at=at)
        report.called += done.called
        return done.moved

    report.margins = _each(margins.groups(), report, reckon)
    return report


def _each(rows: Iterable[_Row], report: Report, act: Callable[[_Row], bool]) -> int:
    """How many `act` did; what fails is told and stops no other."""
    done = 0
    for row in rows:
        try:
            done += act(row)
        except (DomainError, NoSchedule, DatabaseError) as error:
            report.failed += 1
            log.warning("derivative not settled", row=str(row), why=str(error))
    return done
