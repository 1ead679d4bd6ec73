"""A BRIN index over the candles' start on PostgreSQL: rows arrive in time order, so a few pages
find any day of a year, at a thousandth of a B-tree's size. SQLite has no such index."""

from django.db import migrations


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE INDEX candle_start_brin ON marketdata_candle"
            " USING brin (start) WITH (pages_per_range = 32)"
        )


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP INDEX IF EXISTS candle_start_brin")


class Migration(migrations.Migration):
    dependencies = [("marketdata", "0004_broker_token")]

    operations = [migrations.RunPython(create, drop)]
