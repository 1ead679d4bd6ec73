"""What may stand in an address; anything else is an unknown address."""

from datetime import date

from django.urls import register_converter


class InstrumentKey:
    """`NSE_EQ|INE002A01018`, `NSE_INDEX|Nifty 50`: printable ASCII without a slash."""

    regex = r"[A-Z]{2,8}_[A-Z]{2,8}\|[ -.0-~]{1,48}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class SmallId:
    """A row's number that fits its column; a longer one is nobody's."""

    regex = r"[0-9]{1,18}"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class Day:
    """`2026-11-20`, of this century; what is no date is an unknown address."""

    regex = r"20[0-9]{2}-[01][0-9]-[0-3][0-9]"

    def to_python(self, value: str) -> date:
        return date.fromisoformat(value)

    def to_url(self, value: date) -> str:
        return value.isoformat()


register_converter(InstrumentKey, "instrument_key")
register_converter(SmallId, "small_id")
register_converter(Day, "day")
