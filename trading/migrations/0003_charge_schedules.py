"""The charges in force, and those before, as rows that staff can add to.

Figures from 2026-04-01 and from October 2024 (exchange fees and securities transaction tax).
"""

from datetime import date

from django.db import migrations

COMMON = {"sebi_percent": "0.0001", "gst_percent": "18"}
ROWS = [
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
            "exchange_percent": "0.03553",
            "stamp_buy_percent": "0.003",
        },
    ),
]


def seed(apps, schema_editor):
    schedule = apps.get_model("trading", "ChargeSchedule")
    for kind, effective_from, rates in ROWS:
        schedule.objects.get_or_create(
            kind=kind, effective_from=effective_from, defaults={"rates": {**COMMON, **rates}}
        )
    apps.get_model("trading", "EngineFence").objects.get_or_create(id=1)


def unseed(apps, schema_editor):
    apps.get_model("trading", "ChargeSchedule").objects.all().delete()
    apps.get_model("trading", "EngineFence").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("trading", "0002_matching_and_charges")]

    operations = [migrations.RunPython(seed, unseed)]
