"""Numbers as people read them, the same on the server and in the browser."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockmarket.core import formats

MODULE = Path(__file__).parents[2] / "static" / "js" / "format.js"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("0"), "0.00"),
        (Decimal("999.5"), "999.50"),
        (Decimal("123456.5"), "1,23,456.50"),
        (Decimal("-10000000"), "−1,00,00,000.00"),
        (Decimal("-0.001"), "0.00"),
        (1.005, "1.01"),
        (None, "–"),
        (float("nan"), "–"),
    ],
)
def test_number_groups_in_the_indian_manner(value: Decimal | float | None, text: str) -> None:
    assert formats.number(value) == text


def test_the_sign_stands_before_the_rupee() -> None:
    assert formats.rupees(Decimal("-12.5")) == "−₹12.50"
    assert formats.rupees(Decimal("12.5"), signed=True) == "+₹12.50"


def test_large_amounts_are_lakh_and_crore() -> None:
    assert formats.compact(Decimal(999_999)) == "9,99,999"
    assert formats.compact(Decimal(1_234_567)) == "12.35 L"
    assert formats.compact(Decimal(123_456_789), rupee=True) == "₹12.35 Cr"


def test_times_are_indian_with_their_zone() -> None:
    at = datetime(2026, 11, 21, 8, 33, 27, tzinfo=UTC)
    assert formats.ist(at) == "21 Nov 2026, 14:03:27 IST"


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_grouping_loses_no_digit(paise: int) -> None:
    value = Decimal(paise).scaleb(-2)
    plain = formats.number(value).replace(",", "").replace("−", "-")
    assert Decimal(plain) == value


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_the_browser_writes_what_the_server_writes() -> None:
    values = [0, 0.005, 1.005, 2.675, 99.995, 1234.5, -1234.56, 1e6, 12345678.9, -0.004, 1e9, 0.1]
    script = (
        "const source = await (await import('node:fs/promises')).readFile(process.argv[1], 'utf8');"
        "const f = await import('data:text/javascript,' + encodeURIComponent(source));"
        f"console.log(JSON.stringify({json.dumps(values)}.map(v => "
        "[f.number(v), f.number(v, 0), f.rupees(v, 2, true), f.compact(v), f.percent(v)])))"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script, str(MODULE)],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    expected = [
        [
            formats.number(v),
            formats.number(v, places=0),
            formats.rupees(v, signed=True),
            formats.compact(v),
            formats.percent(v),
        ]
        for v in values
    ]
    assert json.loads(done.stdout) == expected
