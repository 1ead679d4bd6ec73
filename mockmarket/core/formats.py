"""How numbers and times are written for people: Indian grouping, rupees, lakh and crore, IST.

static/js/format.js does the same in the browser; tests compare the two on the same values, so
that a page does not change its figures when the first tick arrives.
"""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

from mockmarket.core.clock import IST

Number = Decimal | int | float

UNKNOWN = "–"
MINUS = "\N{MINUS SIGN}"
CRORE = 10_000_000
LAKH = 100_000


def _decimal(value: Number) -> Decimal | None:
    number = Decimal(str(value))
    return number if number.is_finite() else None


def grouped(digits: str) -> str:
    """A string of digits in the Indian manner: 12345678 is 1,23,45,678."""
    if len(digits) <= 3:
        return digits
    head, tail = digits[:-3], digits[-3:]
    first = len(head) % 2
    pairs = [head[:first]] if first else []
    pairs += [head[i : i + 2] for i in range(first, len(head), 2)]
    return ",".join([*pairs, tail])


# Kept: on a page the same figures come again and again. Typed, because a float is rounded by its
# shortest text and an equal Decimal by its own.
@lru_cache(maxsize=32_768, typed=True)
def number(value: Number | None, *, places: int = 2, signed: bool = False) -> str:
    """`value` rounded half up to `places`, grouped; with a sign when `signed` and not zero."""
    exact = None if value is None else _decimal(value)
    if exact is None:
        return UNKNOWN
    rounded = exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    whole, _, fraction = f"{abs(rounded):f}".partition(".")
    text = grouped(whole) + (f".{fraction}" if fraction else "")
    if rounded < 0:
        return MINUS + text
    return f"+{text}" if signed and rounded > 0 else text


def rupees(value: Number | None, *, places: int = 2, signed: bool = False) -> str:
    """₹1,23,456.50; the sign stands before the rupee sign."""
    text = number(value, places=places, signed=signed)
    if text == UNKNOWN:
        return text
    return f"{text[0]}₹{text[1:]}" if text[0] in f"+{MINUS}" else f"₹{text}"


def compact(value: Number | None, *, rupee: bool = False) -> str:
    """Above ten lakh in lakh and crore: 1234567 is 12.35 L, 123456789 is 12.35 Cr."""
    exact = None if value is None else _decimal(value)
    if exact is None:
        return UNKNOWN
    size = abs(exact)
    if size >= CRORE:
        text = number(exact / CRORE) + " Cr"
    elif size >= 10 * LAKH:
        text = number(exact / LAKH) + " L"
    else:
        text = number(exact, places=0)
    if not rupee:
        return text
    return f"{MINUS}₹{text[1:]}" if text.startswith(MINUS) else f"₹{text}"


def percent(value: Number | None, *, places: int = 2, signed: bool = True) -> str:
    """+1.25%; `value` is already in percent."""
    text = number(value, places=places, signed=signed)
    return text if text == UNKNOWN else f"{text}%"


def ist(instant: datetime | None, *, seconds: bool = True) -> str:
    """21 Nov 2026, 14:03:27 IST."""
    if instant is None:
        return UNKNOWN
    local = instant.astimezone(IST)
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    return f"{local.day} {local:%b %Y}, {clock} IST"


def ist_time(instant: datetime) -> str:
    """14:03 IST, of an instant of the last hours."""
    return f"{instant.astimezone(IST):%H:%M} IST"


def direction(value: Number | None) -> str:
    """`up`, `down` or `flat`: the class that colours a change (a sign always stands beside)."""
    exact = None if value is None else _decimal(value)
    if exact is None or exact == 0:
        return "flat"
    return "up" if exact > 0 else "down"
