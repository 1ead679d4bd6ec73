"""A file of corporate actions: CSV, read whole and checked line by line, announced all or none.

Columns, in any order: `symbol`, `kind` (split, bonus, dividend), `ex_date` (2026-11-24), `ratio`
(5:1, for split and bonus) and `amount` (rupees a share, for dividends). Nothing else is read.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from django.db import transaction

from marketdata import selectors as market
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from trading.corporate_actions import services

BYTES_MAX: Final = 262_144
ROWS_MAX: Final = 1_000
COLUMNS: Final = ("symbol", "kind", "ex_date", "ratio", "amount")
_RATIO = re.compile(r"(\d{1,4})\s*:\s*(\d{1,4})")


class InvalidFile(DomainError):
    """The file, or lines of it, cannot be taken; `lines` says which and why."""

    code = "invalid_corporate_actions_file"

    def __init__(self, message: str, lines: tuple["LineError", ...] = ()) -> None:
        super().__init__(message)
        self.lines = lines


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong in one line; `line` counts from 1, the header's."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line, read. None where its kind has no such term."""

    line: int
    symbol: str
    kind: str
    ex_date: date
    numerator: int | None
    denominator: int | None
    amount: Decimal | None


def parse(data: bytes) -> list[Row]:
    """Read a file. Raises InvalidFile with every line that is wrong. Pure."""
    if len(data) > BYTES_MAX:
        raise InvalidFile(f"The file is larger than {BYTES_MAX // 1024} KiB.")
    try:
        reader = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidFile(f"This is not CSV in UTF-8: {error}.") from None
    header = {(name or "").strip().lower() for name in reader.fieldnames or ()}
    missing = {"symbol", "kind", "ex_date"} - header
    if missing:
        raise InvalidFile(f"The first line must name the columns {', '.join(COLUMNS)}.")
    if not lines or len(lines) > ROWS_MAX:
        raise InvalidFile(f"The file has {len(lines)} lines; 1 to {ROWS_MAX} can be taken.")
    rows, errors = [], []
    for number, cells in lines:
        try:
            rows.append(_row(number, {(k or "").strip().lower(): v for k, v in cells.items()}))
        except ValueError as error:
            errors.append(LineError(number, str(error)))
    if errors:
        raise InvalidFile("Nothing was taken; some lines are wrong.", tuple(errors))
    return rows


def _row(line: int, cells: Mapping[str, Any]) -> Row:
    texts = {name: str(cells.get(name) or "").strip() for name in COLUMNS}
    kind = texts["kind"].upper()
    try:
        ex_date = date.fromisoformat(texts["ex_date"])
    except ValueError:
        raise ValueError("ex_date is a day like 2026-11-24") from None
    ratio = _RATIO.fullmatch(texts["ratio"])
    if texts["ratio"] and ratio is None:
        raise ValueError("ratio is like 5:1")
    try:
        amount = Decimal(texts["amount"]) if texts["amount"] else None
    except InvalidOperation:
        raise ValueError("amount is a number of rupees") from None
    numerator, denominator = (int(ratio[1]), int(ratio[2])) if ratio else (None, None)
    return Row(line, texts["symbol"].upper(), kind, ex_date, numerator, denominator, amount)


def take(*, data: bytes, actor: User, reason: str, at: datetime) -> int:
    """Announce every action of a file, or none; how many. Raises InvalidFile."""
    rows = parse(data)
    errors = []
    with transaction.atomic():
        for row in rows:
            try:
                services.announce(
                    instrument=market.instrument_by_symbol(row.symbol),
                    kind=row.kind,
                    ex_date=row.ex_date,
                    numerator=row.numerator,
                    denominator=row.denominator,
                    amount=row.amount,
                    source=f"file, line {row.line}",
                    actor=actor,
                    reason=reason,
                    at=at,
                )
            except DomainError as refusal:
                errors.append(LineError(row.line, refusal.message))
        if errors:
            raise InvalidFile("Nothing was taken; some lines are wrong.", tuple(errors))
    return len(rows)
