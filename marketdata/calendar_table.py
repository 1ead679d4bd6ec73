"""The differing days of NSE's equity and derivatives segments, 2024 to 2026: seeds, not rules.

`services.seed_calendar` writes them as rows; from then on administrators edit the rows. Facts
from the exchange's circulars as reported in the press; the test beside compares them with a
calendar library and explains every disagreement.
"""

from datetime import date
from typing import Final

from marketdata.sessions import DayRule, parse_spans

_REGULAR = "PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-15:30, POST_CLOSE 15:30-16:00"
_DRILL = (
    "PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-10:00,"
    " PRE_OPEN 11:15-11:30, CONTINUOUS 11:30-12:30, POST_CLOSE 12:30-13:00"
)
_EVENING = "PRE_OPEN 17:45-18:00, CONTINUOUS 18:00-19:00"

HOLIDAYS: Final[tuple[tuple[str, str], ...]] = (
    ("2024-01-22", "Special holiday (Ram Mandir consecration)"),
    ("2024-01-26", "Republic Day"),
    ("2024-03-08", "Mahashivratri"),
    ("2024-03-25", "Holi"),
    ("2024-03-29", "Good Friday"),
    ("2024-04-11", "Id-ul-Fitr"),
    ("2024-04-17", "Ram Navami"),
    ("2024-05-01", "Maharashtra Day"),
    ("2024-05-20", "General elections (Mumbai)"),
    ("2024-06-17", "Bakri Id"),
    ("2024-07-17", "Moharram"),
    ("2024-08-15", "Independence Day"),
    ("2024-10-02", "Mahatma Gandhi Jayanti"),
    ("2024-11-15", "Guru Nanak Jayanti"),
    ("2024-11-20", "Maharashtra assembly elections"),
    ("2024-12-25", "Christmas"),
    ("2025-02-26", "Mahashivratri"),
    ("2025-03-14", "Holi"),
    ("2025-03-31", "Id-ul-Fitr"),
    ("2025-04-10", "Mahavir Jayanti"),
    ("2025-04-14", "Dr. Baba Saheb Ambedkar Jayanti"),
    ("2025-04-18", "Good Friday"),
    ("2025-05-01", "Maharashtra Day"),
    ("2025-08-15", "Independence Day"),
    ("2025-08-27", "Ganesh Chaturthi"),
    ("2025-10-02", "Mahatma Gandhi Jayanti, Dussehra"),
    ("2025-10-22", "Diwali Balipratipada"),
    ("2025-11-05", "Guru Nanak Jayanti"),
    ("2025-12-25", "Christmas"),
    ("2026-01-15", "Municipal elections (Maharashtra)"),
    ("2026-01-26", "Republic Day"),
    ("2026-03-03", "Holi"),
    ("2026-03-26", "Ram Navami"),
    ("2026-03-31", "Mahavir Jayanti"),
    ("2026-04-03", "Good Friday"),
    ("2026-04-14", "Dr. Baba Saheb Ambedkar Jayanti"),
    ("2026-05-01", "Maharashtra Day"),
    ("2026-05-28", "Bakri Id"),
    ("2026-06-26", "Moharram"),
    ("2026-09-14", "Ganesh Chaturthi"),
    ("2026-10-02", "Mahatma Gandhi Jayanti"),
    ("2026-10-20", "Dussehra"),
    ("2026-11-10", "Diwali Balipratipada"),
    ("2026-11-24", "Guru Nanak Jayanti"),
    ("2026-12-25", "Christmas"),
)

# (day, what, spans of every market)
SPECIAL_SESSIONS: Final[tuple[tuple[str, str, str], ...]] = (
    ("2024-01-20", "Full Saturday session, for the holiday of 22 January", _REGULAR),
    ("2024-03-02", "Disaster-recovery drill in two parts", _DRILL),
    ("2024-05-18", "Disaster-recovery drill in two parts", _DRILL),
    ("2024-11-01", "Diwali, Muhurat trading", _EVENING),
    ("2025-02-01", "Union budget, full Saturday session", _REGULAR),
    ("2025-10-21", "Diwali, Muhurat trading", "PRE_OPEN 13:30-13:45, CONTINUOUS 13:45-14:45"),
    ("2026-02-01", "Union budget, full Sunday session", _REGULAR),
    ("2026-11-08", "Diwali, Muhurat trading", _EVENING),
)


def day_rules() -> tuple[DayRule, ...]:
    """The whole table as rules for every market."""
    holidays = (DayRule(date.fromisoformat(day), what) for day, what in HOLIDAYS)
    specials = (
        DayRule(date.fromisoformat(day), what, parse_spans(spans))
        for day, what, spans in SPECIAL_SESSIONS
    )
    return (*holidays, *specials)
