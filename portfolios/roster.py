"""A class roster as CSV: read, checked line by line, nothing taken on trust. Pure.

Columns, in any order: `username` (or `email` alone), `name` or `first_name` and `last_name`,
`email`, `alias`. Nothing else is read: no column can make anybody staff. Either every line is
right or nothing is imported; what is wrong is named by line and column.
"""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from mockmarket.core.errors import DomainError
from portfolios.tables import neutral

BYTES_MAX = 1_048_576
ROWS_MAX = 5_000
CELL_MAX = 150
ALIAS_MAX = 30
ERRORS_SHOWN_MAX = 200

COLUMNS = ("username", "name", "first_name", "last_name", "email", "alias")
_USERNAME = re.compile(r"[A-Za-z0-9@.+_-]{1,150}")
_EMAIL = re.compile(r"[^@\s,;<>\"']{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_HIDDEN = re.compile(r"[\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


class InvalidRoster(DomainError):
    """The file as a whole cannot be read; the message says why."""

    code = "invalid_roster"


@dataclass(frozen=True, slots=True)
class Student:
    """One line of a roster, checked. `line` is its number in the file, from 1."""

    line: int
    username: str
    first_name: str
    last_name: str
    email: str
    alias: str


@dataclass(frozen=True, slots=True)
class RowError:
    """What is wrong in one cell. `column` is empty when it is the line as a whole."""

    line: int
    column: str
    message: str


@dataclass(frozen=True, slots=True)
class Roster:
    """A file as read. Import only when `errors` is empty."""

    students: tuple[Student, ...]
    errors: tuple[RowError, ...]
    ignored: tuple[str, ...]  # columns that are not read


def parse(data: bytes) -> Roster:
    """Read a roster. Raises InvalidRoster for what is not a CSV of people at all."""
    reader = csv.reader(io.StringIO(_text(data), newline=""), strict=True)
    try:
        lines = [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise InvalidRoster(f"Line {reader.line_num} is not CSV: {error}.") from error
    if not lines:
        raise InvalidRoster("The file is empty.")
    header = [cell.strip().lower().replace(" ", "_").replace("-", "_") for cell in lines[0][1]]
    _check_header(header)
    if len(lines) - 1 > ROWS_MAX:
        raise InvalidRoster(f"The file has {len(lines) - 1} lines; {ROWS_MAX} is the most.")
    students: list[Student] = []
    errors: list[RowError] = []
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            message = f"has {len(cells)} cells, the header has {len(header)}"
            errors.append(RowError(number, "", message))
            continue
        student, wrong = _student(number, dict(zip(header, cells, strict=True)))
        students.append(student)
        errors.extend(wrong)
    errors.extend(_doubles(students))
    errors.sort(key=lambda error: error.line)
    return Roster(
        students=tuple(students),
        errors=tuple(errors[:ERRORS_SHOWN_MAX]),
        ignored=tuple(name for name in header if name not in COLUMNS),
    )


def _text(data: bytes) -> str:
    if len(data) > BYTES_MAX:
        raise InvalidRoster(f"The file is larger than {BYTES_MAX // 1024} KiB.")
    if data[:2] == b"PK":
        raise InvalidRoster("This is a workbook or an archive; save the sheet as CSV.")
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRoster("The file is not UTF-8; save it as CSV UTF-8.") from error
    if "\x00" in text:
        raise InvalidRoster("The file holds bytes that are no text.")
    return text


def _check_header(header: Sequence[str]) -> None:
    known = [name for name in header if name in COLUMNS]
    if "username" not in known and "email" not in known:
        raise InvalidRoster("The first line must name the columns: username or email, and name.")
    if len(set(known)) != len(known):
        raise InvalidRoster("The first line names a column twice.")


def _student(line: int, cells: Mapping[str, str]) -> tuple[Student, list[RowError]]:
    errors: list[RowError] = []
    values: dict[str, str] = {}
    for name in COLUMNS:
        text = cells.get(name, "").strip()
        if len(text) > CELL_MAX:
            errors.append(RowError(line, name, f"is longer than {CELL_MAX} characters"))
        elif _HIDDEN.search(text):
            errors.append(RowError(line, name, "holds characters that cannot be seen"))
        elif name != "username" and neutral(text) != text:
            errors.append(RowError(line, name, "begins like a formula"))
        else:
            values[name] = text
    email = values.get("email", "").lower()
    if email and not _EMAIL.fullmatch(email):
        errors.append(RowError(line, "email", "is not an e-mail address"))
    username = (values.get("username", "") or email.partition("@")[0]).lower()
    if not any(error.column == "username" for error in errors):
        if not username:
            errors.append(RowError(line, "username", "is missing, and there is no e-mail"))
        elif not _USERNAME.fullmatch(username) or username[0] in "@+-":
            errors.append(RowError(line, "username", "may hold letters, digits and . _ - + @"))
    alias = values.get("alias", "")
    if len(alias) > ALIAS_MAX:
        errors.append(RowError(line, "alias", f"is longer than {ALIAS_MAX} characters"))
    first, last = values.get("first_name", ""), values.get("last_name", "")
    if not first and not last:
        first, _, last = values.get("name", "").partition(" ")
    return Student(line, username, first, last.strip(), email, alias), errors


def _doubles(students: Collection[Student]) -> list[RowError]:
    errors = []
    for column in ("username", "email"):
        first: dict[str, int] = {}
        for student in students:
            value = getattr(student, column)
            if value and value in first:
                message = f"is the same as in line {first[value]}"
                errors.append(RowError(student.line, column, message))
            elif value:
                first[value] = student.line
    return errors
