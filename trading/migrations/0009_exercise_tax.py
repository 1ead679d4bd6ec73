"""The tax on an option's exercise, in the rows that the database was seeded with."""

from datetime import date

from django.db import migrations

RATES = {date(2024, 10, 1): "0.125", date(2026, 4, 1): "0.15"}


def add(apps, schema_editor):
    schedules = apps.get_model("trading", "ChargeSchedule").objects.filter(kind="OPTIONS")
    for row in schedules:
        rate = RATES.get(row.effective_from)
        if rate is not None and "stt_exercise_percent" not in row.rates:
            row.rates["stt_exercise_percent"] = rate
            row.save(update_fields=["rates"])


def remove(apps, schema_editor):
    for row in apps.get_model("trading", "ChargeSchedule").objects.filter(kind="OPTIONS"):
        if row.rates.pop("stt_exercise_percent", None) is not None:
            row.save(update_fields=["rates"])


class Migration(migrations.Migration):
    dependencies = [("trading", "0008_position_changes")]
    operations = [migrations.RunPython(add, remove)]
