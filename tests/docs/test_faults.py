"""The table of faults has a row for each of the catalogue, and names tests that exist."""

import re
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
TEXT = (ROOT / "docs" / "operations" / "faults.md").read_text()
WANTED = {f"T{number}" for number in (*range(5, 14), 18, *range(21, 26))} | {
    f"S{number}" for number in range(1, 17)
}


ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in TEXT.splitlines()
    if re.match(r"\| ", line) and line.split("|")[2].strip() not in {"fault", "attack"}
]


def test_every_fault_of_the_catalogue_has_a_row() -> None:
    assert set(re.findall(r"[TS]\d+", " ".join(row[0] for row in ROWS))) >= WANTED


def test_every_row_names_a_test_or_says_that_there_is_none() -> None:
    for row in ROWS:
        assert re.search(r"`tests/|`benchmarks/|the same|^none", row[2]), row


def test_every_figure_is_a_figure_or_is_said_to_be_missing() -> None:
    assert not re.search(r"_SEEN|TODO|\?\?", TEXT)


def test_what_is_called_long_is_marked_so() -> None:
    for line in TEXT.splitlines():
        if "(long" not in line:
            continue
        named = re.findall(r"`(tests/[\w/]+\.py)`(?=[^|`]*\(long)", line)
        for path in named:
            assert "mark.fault" in (ROOT / path).read_text(), path
