"""Spreadsheets: what goes in comes out, and nothing runs."""

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import load_workbook

from portfolios.tables import Cell, as_csv, as_xlsx, neutral


class TestNeutral:
    @pytest.mark.parametrize(
        "text",
        ["=1+1", "+SUM(A1)", "-2+3", "@cmd", "\t=1", "\r=1", " =1", "|calc", "%0A", "=HYPERLINK()"],
    )
    def test_stops_formulas(self, text: str) -> None:
        assert neutral(text).startswith("'")

    @pytest.mark.parametrize("text", ["-12.50", "7", "Asha Rao", "O'Brien", "a=b", ""])
    def test_leaves_names_and_numbers_alone(self, text: str) -> None:
        assert neutral(text) == text


class TestRoundTrip:
    rows: list[list[Cell]] = [
        [1, 'Asha, "A"', Decimal("-12.50"), None],
        [2, "line\nbreak", Decimal("0.00"), 0.5],
    ]

    def test_through_csv(self) -> None:
        text = as_csv(header=["rank", "name", "gain", "score"], rows=self.rows)
        read = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
        assert read == [
            ["rank", "name", "gain", "score"],
            ["1", 'Asha, "A"', "-12.50", ""],
            ["2", "line\nbreak", "0.00", "0.5"],
        ]

    def test_through_xlsx(self) -> None:
        blob = as_xlsx(title="A/B: [test]", header=["rank", "name"], rows=[[1, "Asha"], [2, "=1"]])
        sheet = load_workbook(io.BytesIO(blob)).active
        assert sheet is not None
        assert list(sheet.values) == [("rank", "name"), (1, "Asha"), (2, "'=1")]

    @given(st.lists(st.lists(st.text(), min_size=2, max_size=2), max_size=5))
    def test_no_cell_begins_like_a_formula(self, rows: list[list[str]]) -> None:
        read = csv.reader(io.StringIO(as_csv(header=["a", "b"], rows=rows)[1:], newline=""))
        for row in list(read)[1:]:
            assert not any(cell.lstrip()[:1] in {"=", "+", "@"} and cell for cell in row)
