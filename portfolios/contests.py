"""The rules of a contest: one versioned, validated set, pure.

A contest keeps its rules as JSON. `Rules.parse` is the only way in: unknown names, wrong types
and values without sense are refused by name, a missing name takes its default. The set is hashed
when the contest starts; trading/risk.py enforces it.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol, TypeVar

from mockmarket.core.errors import DomainError

SCHEMA_VERSION = 1
PRODUCTS = ("CNC", "MIS", "NRML")
EVERYTHING = "ALL"
UNIVERSE_MAX = 500  # instruments named one by one

_Value = TypeVar("_Value")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_KEY = re.compile(r"[A-Z]{2,4}_[A-Z]{2,6}\|.{1,48}")


class InvalidRules(DomainError):
    """A set of rules that no contest may have; `fields` names each rule and what is wrong."""

    code = "invalid_rules"


class HasRules(Protocol):
    """Anything that keeps a set of rules as JSON: a contest."""

    rules: Any


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _whole(minimum: int, maximum: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueError("must be a whole number")
        if not minimum <= value <= maximum:
            raise ValueError(f"must lie between {minimum} and {maximum}")
        return value

    return parse


def _decimal(minimum: str, maximum: str) -> Callable[[object], Decimal]:
    def parse(value: object) -> Decimal:
        if isinstance(value, bool | float) or not isinstance(value, str | int | Decimal):
            raise ValueError("must be a number in quotes")
        try:
            number = Decimal(value)
        except InvalidOperation as error:
            raise ValueError("must be a number in quotes") from error
        if not number.is_finite() or not Decimal(minimum) <= number <= Decimal(maximum):
            raise ValueError(f"must lie between {minimum} and {maximum}")
        return number

    return parse


def _optional(parse: Callable[[object], _Value]) -> Callable[[object], _Value | None]:
    def parse_or_none(value: object) -> _Value | None:
        return None if value is None else parse(value)

    return parse_or_none


def _choice(*choices: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return str(value)

    return parse


def _products(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value or not set(value) <= set(PRODUCTS):
        raise ValueError(f"must be a list of {', '.join(PRODUCTS)}")
    return tuple(name for name in PRODUCTS if name in value)


def _universe(value: object) -> str | tuple[str, ...]:
    if isinstance(value, str) and (value == EVERYTHING or _KEY.fullmatch(value)):
        return value
    if not isinstance(value, list | tuple) or not 0 < len(value) <= UNIVERSE_MAX:
        raise ValueError(f'must be "ALL", an index, or a list of up to {UNIVERSE_MAX} keys')
    if not all(isinstance(key, str) and _KEY.fullmatch(key) for key in value):
        raise ValueError("holds something that is not an instrument key")
    return tuple(sorted(set(value)))


def _clock(value: object) -> str:
    if not isinstance(value, str) or not _CLOCK.fullmatch(value):
        raise ValueError("must be a time such as 15:10")
    return value


@dataclass(frozen=True, slots=True)
class Rules:
    """What a contest allows. None is no limit; money in rupees, times of day in India."""

    products: tuple[str, ...] = ("CNC", "MIS")
    shorts: bool = True
    leverage_max: Decimal = Decimal(5)
    universe: str | tuple[str, ...] = EVERYTHING
    min_price: Decimal | None = None
    position_percent_max: Decimal | None = None
    order_value_max: Decimal | None = None
    orders_per_minute_max: int | None = 60
    fills_per_day_max: int | None = None
    cooling_off_seconds: int = 0  # between a buy and a sell of the same share
    reason_required: bool = False  # an order must say why
    options: bool = False
    futures: bool = False
    liquidity: str = "student"  # whose fills eat the displayed depth: "student" or "class"
    participation_percent: Decimal = Decimal(10)
    settlement: str = "t1"
    square_off: str = "15:10"
    square_off_fo: str = "15:35"
    late_join: bool = True  # after the start
    minimum_fills: int = 0  # fewer are listed without a rank

    @classmethod
    def parse(cls, stored: Mapping[str, Any] | None) -> "Rules":
        """Rules from what a contest keeps. Raises InvalidRules naming every wrong rule."""
        values: dict[str, Any] = {}
        wrong: dict[str, str] = {}
        if not isinstance(stored or {}, Mapping):
            raise InvalidRules("The rules are not a set of names and values.")
        for name, value in (stored or {}).items():
            if name == "version":
                if value != SCHEMA_VERSION:
                    wrong[name] = f"must be {SCHEMA_VERSION}"
            elif name not in _PARSERS:
                wrong[str(name)] = "is not a rule"
            else:
                try:
                    values[name] = _PARSERS[name](value)
                except ValueError as error:
                    wrong[name] = str(error)
        if wrong:
            first, message = next(iter(wrong.items()))
            raise InvalidRules(f"The rule {first} {message}.", fields=wrong)
        return cls(**values)

    def as_json(self) -> dict[str, Any]:
        """The whole set as JSON types, defaults included, in a fixed order."""
        shown: dict[str, Any] = {"version": SCHEMA_VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Decimal):
                value = format(value.normalize(), "f")
            shown[field.name] = list(value) if isinstance(value, tuple) else value
        return shown

    def digest(self) -> str:
        """SHA-256 of the whole set in canonical JSON: what is published at the start."""
        text = json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


_PARSERS: dict[str, Callable[[object], Any]] = {
    "products": _products,
    "shorts": _truth,
    "leverage_max": _decimal("1", "20"),
    "universe": _universe,
    "min_price": _optional(_decimal("0", "100000")),
    "position_percent_max": _optional(_decimal("1", "100")),
    "order_value_max": _optional(_decimal("1", "1000000000")),
    "orders_per_minute_max": _optional(_whole(1, 600)),
    "fills_per_day_max": _optional(_whole(1, 100_000)),
    "cooling_off_seconds": _whole(0, 86_400),
    "reason_required": _truth,
    "options": _truth,
    "futures": _truth,
    "liquidity": _choice("student", "class"),
    "participation_percent": _decimal("0.1", "100"),
    "settlement": _choice("t1", "instant"),
    "square_off": _clock,
    "square_off_fo": _clock,
    "late_join": _truth,
    "minimum_fills": _whole(0, 1000),
}
assert set(_PARSERS) == {field.name for field in fields(Rules)}, "every rule has its parser"
RULE_NAMES = tuple(field.name for field in fields(Rules))
# None is a value of its own here: no limit, whatever the default is.
MAY_BE_UNLIMITED = frozenset(
    {
        "min_price",
        "position_percent_max",
        "order_value_max",
        "orders_per_minute_max",
        "fills_per_day_max",
    }
)


def rules_of(contest: HasRules) -> Rules:
    """The rules of a contest. Raises InvalidRules."""
    return Rules.parse(contest.rules)


# What staff start from; every value may be changed before the contest opens.
TEMPLATES: Mapping[str, Mapping[str, Any]] = {
    "practice": {},
    "classroom": {
        "products": ["CNC"],
        "shorts": False,
        "leverage_max": "1",
        "min_price": "10",
        "position_percent_max": "25",
        "reason_required": True,
        "minimum_fills": 3,
    },
    "intraday": {
        "products": ["CNC", "MIS"],
        "min_price": "20",
        "position_percent_max": "50",
        "orders_per_minute_max": 20,
        "minimum_fills": 5,
    },
    "investing": {
        "products": ["CNC"],
        "shorts": False,
        "leverage_max": "1",
        "min_price": "10",
        "position_percent_max": "20",
        "cooling_off_seconds": 86_400,
        "late_join": False,
        "minimum_fills": 5,
    },
    "derivatives": {
        "products": ["CNC", "MIS", "NRML"],
        "options": True,
        "futures": True,
        "position_percent_max": "50",
        "minimum_fills": 3,
    },
}

# state -> the states that may follow it
STATE_TABLE: Mapping[str, frozenset[str]] = {
    "DRAFT": frozenset({"OPEN", "ARCHIVED"}),
    "OPEN": frozenset({"DRAFT", "RUNNING", "ARCHIVED"}),
    "RUNNING": frozenset({"FROZEN", "FINISHED"}),
    "FROZEN": frozenset({"RUNNING", "FINISHED"}),
    "FINISHED": frozenset({"ARCHIVED"}),
    "ARCHIVED": frozenset(),
}
JOINABLE = frozenset({"OPEN", "RUNNING"})
LIVE = frozenset({"OPEN", "RUNNING", "FROZEN"})  # valued by the engine
ENDED = frozenset({"FINISHED", "ARCHIVED"})  # their result is frozen
LOCKED = frozenset({"RUNNING", "FROZEN", "FINISHED", "ARCHIVED"})  # rules no longer change
