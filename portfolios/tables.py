"""Tables for spreadsheets: CSV and XLSX that cannot run anything in the reader's program. Pure."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal

Cell = str | int | float | Decimal | None

# A spreadsheet takes a cell that begins so for a formula (OWASP, CSV injection).
_FORMULA = re.compile(r"^\s*[=+\-@\t\r\n|%]")
_NUMBER = re.compile(r"^-?\d+(\.\d+)?$")
# XML, and with it XLSX, has no place for these.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def neutral(text: str) -> str:
    """`text` as a spreadsheet shows it and never runs it: an apostrophe before what looks like a
    formula. Plain numbers stay numbers."""
    text = _CONTROL.sub("", text)
    if _FORMULA.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def _cell(value: Cell) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return neutral(value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def as_csv(*, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """RFC 4180 text with a byte order mark, which tells spreadsheets that it is UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return "\ufeff" + out.getvalue()


def as_xlsx(*, title: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> bytes:
    """One sheet with a frozen header; numbers are numbers, texts are texts."""
    from openpyxl import Workbook  # a tenth of every process's start, for one download

    book = Workbook(write_only=True)
    sheet = book.create_sheet(re.sub(r"[\[\]:*?/\\]", " ", title)[:31] or "Results")
    sheet.freeze_panes = "A2"
    sheet.append(list(header))
    for row in rows:
        sheet.append([neutral(value) if isinstance(value, str) else value for value in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
