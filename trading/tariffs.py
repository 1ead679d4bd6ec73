"""The charges that the product ships with, by kind and date. Pure data.

The database starts with the same rows; staff add newer ones there, and a row of the database wins
over one of the same kind and date here.
"""

from datetime import date
from typing import Final

COMMON: Final = {"sebi_percent": "0.0001", "gst_percent": "18"}
ROWS: Final[list[tuple[str, date, dict[str, str]]]] = [
    (
        "DELIVERY",
        date(2024, 10, 1),
        {
            "stt_buy_percent": "0.1",
            "stt_sell_percent": "0.1",
            "exchange_percent": "0.00297",
            "stamp_buy_percent": "0.015",
            "depository": "13.50",
        },
    ),
    (
        "INTRADAY",
        date(2024, 10, 1),
        {
            "brokerage_percent": "0.03",
            "brokerage_max": "20",
            "stt_sell_percent": "0.025",
            "exchange_percent": "0.00297",
            "stamp_buy_percent": "0.003",
        },
    ),
    (
        "FUTURES",
        date(2024, 10, 1),
        {
            "brokerage_percent": "0.03",
            "brokerage_max": "20",
            "stt_sell_percent": "0.02",
            "exchange_percent": "0.00173",
            "stamp_buy_percent": "0.002",
        },
    ),
    (
        "OPTIONS",
        date(2024, 10, 1),
        {
            "brokerage_max": "20",
            "stt_sell_percent": "0.1",
            "stt_exercise_percent": "0.125",
            "exchange_percent": "0.03503",
            "stamp_buy_percent": "0.003",
        },
    ),
    (
        "DELIVERY",
        date(2026, 4, 1),
        {
            "stt_buy_percent": "0.1",
            "stt_sell_percent": "0.1",
            "exchange_percent": "0.00307",
            "stamp_buy_percent": "0.015",
            "depository": "13.50",
        },
    ),
    (
        "INTRADAY",
        date(2026, 4, 1),
        {
            "brokerage_percent": "0.03",
            "brokerage_max": "20",
            "stt_sell_percent": "0.025",
            "exchange_percent": "0.00307",
            "stamp_buy_percent": "0.003",
        },
    ),
    (
        "FUTURES",
        date(2026, 4, 1),
        {
            "brokerage_percent": "0.03",
            "brokerage_max": "20",
            "stt_sell_percent": "0.05",
            "exchange_percent": "0.00183",
            "stamp_buy_percent": "0.002",
        },
    ),
    (
        "OPTIONS",
        date(2026, 4, 1),
        {
            "brokerage_max": "20",
            "stt_sell_percent": "0.15",
            "stt_exercise_percent": "0.15",
            "exchange_percent": "0.03553",
            "stamp_buy_percent": "0.003",
        },
    ),
]
