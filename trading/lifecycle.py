"""The order lifecycle: one table of (status, event) to status. Pure.

A pair that is absent is illegal and raises; a test walks every pair.
"""

from enum import StrEnum
from typing import Final


class Status(StrEnum):
    QUEUED = "QUEUED"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    WAITING_FRESH_QUOTE = "WAITING_FRESH_QUOTE"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


class Event(StrEnum):
    """What can happen to an accepted order."""

    ACTIVATE = "ACTIVATE"  # its session began
    ARM = "ARM"  # its session began, and it is a stop
    TRIGGER = "TRIGGER"  # the last price reached its trigger
    HOLD = "HOLD"  # the quote is too old to fill on
    RESUME = "RESUME"  # a fresh quote came, nothing filled so far
    RESUME_PARTIAL = "RESUME_PARTIAL"  # a fresh quote came, a part had filled
    FILL_PART = "FILL_PART"
    FILL_ALL = "FILL_ALL"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"
    EXPIRE = "EXPIRE"
    REJECT = "REJECT"  # a check after acceptance failed, before anything filled


class IllegalTransition(ValueError):
    """An event that cannot happen in this status."""


_S, _E = Status, Event

TABLE: Final[dict[tuple[Status, Event], Status]] = {
    (_S.QUEUED, _E.ACTIVATE): _S.OPEN,
    (_S.QUEUED, _E.ARM): _S.TRIGGER_PENDING,
    (_S.QUEUED, _E.MODIFY): _S.QUEUED,
    (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _E.EXPIRE): _S.EXPIRED,
    (_S.QUEUED, _E.REJECT): _S.REJECTED,
    (_S.OPEN, _E.HOLD): _S.WAITING_FRESH_QUOTE,
    (_S.OPEN, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.OPEN, _E.FILL_ALL): _S.FILLED,
    (_S.OPEN, _E.MODIFY): _S.OPEN,
    (_S.OPEN, _E.CANCEL): _S.CANCELLED,
    (_S.OPEN, _E.EXPIRE): _S.EXPIRED,
    (_S.OPEN, _E.REJECT): _S.REJECTED,
    (_S.TRIGGER_PENDING, _E.TRIGGER): _S.OPEN,
    (_S.TRIGGER_PENDING, _E.MODIFY): _S.TRIGGER_PENDING,
    (_S.TRIGGER_PENDING, _E.CANCEL): _S.CANCELLED,
    (_S.TRIGGER_PENDING, _E.EXPIRE): _S.EXPIRED,
    (_S.TRIGGER_PENDING, _E.REJECT): _S.REJECTED,
    (_S.WAITING_FRESH_QUOTE, _E.RESUME): _S.OPEN,
    (_S.WAITING_FRESH_QUOTE, _E.RESUME_PARTIAL): _S.PARTIALLY_FILLED,
    # The fresh quote may fill it at once.
    (_S.WAITING_FRESH_QUOTE, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.WAITING_FRESH_QUOTE, _E.FILL_ALL): _S.FILLED,
    (_S.WAITING_FRESH_QUOTE, _E.MODIFY): _S.WAITING_FRESH_QUOTE,
    (_S.WAITING_FRESH_QUOTE, _E.CANCEL): _S.CANCELLED,
    (_S.WAITING_FRESH_QUOTE, _E.EXPIRE): _S.EXPIRED,
    (_S.WAITING_FRESH_QUOTE, _E.REJECT): _S.REJECTED,
    (_S.PARTIALLY_FILLED, _E.HOLD): _S.WAITING_FRESH_QUOTE,
    (_S.PARTIALLY_FILLED, _E.FILL_PART): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.FILL_ALL): _S.FILLED,
    (_S.PARTIALLY_FILLED, _E.MODIFY): _S.PARTIALLY_FILLED,
    (_S.PARTIALLY_FILLED, _E.CANCEL): _S.CANCELLED,
    (_S.PARTIALLY_FILLED, _E.EXPIRE): _S.EXPIRED,
}

LIVE: Final = frozenset(
    {
        Status.QUEUED,
        Status.OPEN,
        Status.TRIGGER_PENDING,
        Status.WAITING_FRESH_QUOTE,
        Status.PARTIALLY_FILLED,
    }
)
ENDED: Final = frozenset(Status) - LIVE


def advance(status: str, event: Event) -> Status:
    """The status after `event`. Raises IllegalTransition."""
    try:
        return TABLE[Status(status), event]
    except KeyError:
        raise IllegalTransition(f"an order that is {status} cannot {event}") from None
