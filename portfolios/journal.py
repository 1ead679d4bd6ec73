"""The journal: a reason at entry, a note at exit, tags, and reading them again."""

import re
import uuid
from collections.abc import Sequence
from datetime import datetime

from django.db.models import Q, QuerySet

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError, NotFound
from portfolios.models import JournalEntry, Portfolio

TEXT_MAX = 2_000
TAGS_MAX = 8
_TAG = re.compile(r"[\w][\w \-]{0,29}")
# Offered on the ticket; any other word is taken as well.
SUGGESTED_TAGS = (
    "breakout", "earnings", "news", "value", "momentum", "hedge", "mistake", "fear of missing out",
)  # fmt: skip


class InvalidNote(DomainError):
    """A note without text, too long, or with a tag that is none."""

    code = "invalid_note"


class NoNote(NotFound):
    """No such note, or it is somebody else's."""

    code = "no_note"


def of_order(
    *,
    portfolio: Portfolio,
    instrument: Instrument,
    order_id: uuid.UUID,
    reason: str,
    closing: bool,
    at: datetime,
) -> JournalEntry | None:
    """Keep the reason that came with an order, in the order's transaction; None without one."""
    if not reason.strip():
        return None
    return write(
        portfolio=portfolio,
        text=reason,
        at=at,
        kind=JournalEntry.Kind.EXIT if closing else JournalEntry.Kind.ENTRY,
        instrument=instrument,
        order_id=order_id,
    )


def write(
    *,
    portfolio: Portfolio,
    text: str,
    at: datetime,
    kind: str = JournalEntry.Kind.NOTE,
    instrument: Instrument | None = None,
    order_id: uuid.UUID | None = None,
    tags: Sequence[str] = (),
) -> JournalEntry:
    """Add a note. Raises InvalidNote."""
    return JournalEntry.objects.create(
        portfolio=portfolio,
        instrument=instrument,
        order_id=order_id,
        kind=JournalEntry.Kind(kind),
        text=_checked_text(text),
        tags=_checked_tags(tags),
        created_at=at,
        updated_at=at,
    )


def rewrite(
    *, portfolio: Portfolio, note_id: int, text: str, tags: Sequence[str], at: datetime
) -> JournalEntry:
    """Change one's own note. What was said with an order stays: it is what was thought then.

    Raises NoNote, InvalidNote.
    """
    note = _own(portfolio=portfolio, note_id=note_id)
    if note.order_id is not None:
        raise InvalidNote("What you said with an order stays; add a note instead.")
    note.text, note.tags, note.updated_at = _checked_text(text), _checked_tags(tags), at
    note.save(update_fields=["text", "tags", "updated_at"])
    return note


def remove(*, portfolio: Portfolio, note_id: int) -> None:
    """Delete one's own note, but nothing said with an order. Raises NoNote, InvalidNote."""
    note = _own(portfolio=portfolio, note_id=note_id)
    if note.order_id is not None:
        raise InvalidNote("What you said with an order stays.")
    note.delete()


def notes(
    *,
    portfolio: Portfolio,
    kind: str = "",
    symbol: str = "",
    tag: str = "",
    search: str = "",
) -> QuerySet[JournalEntry]:
    """A portfolio's notes, newest first, filtered by what is given."""
    found = JournalEntry.objects.select_related("instrument").filter(portfolio=portfolio)
    if kind:
        found = found.filter(kind=kind)
    if symbol:
        found = found.filter(instrument__symbol__iexact=symbol.strip())
    if search:
        found = found.filter(Q(text__icontains=search) | Q(instrument__symbol__icontains=search))
    if tag:
        # SQLite has no containment in JSON; quotes make it match a whole tag.
        found = found.filter(tags__icontains=f'"{tag.strip().lower()}"')
    return found.order_by("-created_at", "-id")


def tags_of(*, portfolio: Portfolio) -> list[tuple[str, int]]:
    """The portfolio's tags with how often each was used, most used first."""
    count: dict[str, int] = {}
    for tags in JournalEntry.objects.filter(portfolio=portfolio).values_list("tags", flat=True):
        for tag in tags:
            count[tag] = count.get(tag, 0) + 1
    return sorted(count.items(), key=lambda item: (-item[1], item[0]))


def _own(*, portfolio: Portfolio, note_id: int) -> JournalEntry:
    found = JournalEntry.objects.filter(portfolio=portfolio, id=note_id).first()
    if found is None:
        raise NoNote("There is no such note.")
    return found


def _checked_text(text: str) -> str:
    text = text.strip()
    if not text or len(text) > TEXT_MAX:
        message = f"A note has 1 to {TEXT_MAX} characters."
        raise InvalidNote(message, fields={"text": message})
    return text


def _checked_tags(tags: Sequence[str]) -> list[str]:
    cleaned = list(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))
    if len(cleaned) > TAGS_MAX or not all(_TAG.fullmatch(tag) for tag in cleaned):
        message = f"Up to {TAGS_MAX} tags of letters, digits, spaces and hyphens, 30 each."
        raise InvalidNote(message, fields={"tags": message})
    return cleaned
