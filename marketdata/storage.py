"""The only writers of what is kept of prices: last prices and candles."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from django.db import transaction

from marketdata.board import COLUMN, source_name
from marketdata.candles import Bar
from marketdata.models import Candle, Instrument, LastPrice
from mockmarket.core import clock
from mockmarket.core.money import price as exact_price

ROWS_PER_STATEMENT = 500


def instrument_ids(keys: Iterable[str]) -> dict[str, int]:
    """Primary keys by instrument key, for those of `keys` that exist."""
    wanted = list(keys)
    found: dict[str, int] = {}
    for start in range(0, len(wanted), ROWS_PER_STATEMENT):
        part = wanted[start : start + ROWS_PER_STATEMENT]
        found.update(Instrument.objects.filter(key__in=part).values_list("key", "pk"))
    return found


def store_last_prices(*, rows: Mapping[str, Sequence[float]], at: datetime) -> int:
    """Upsert the last price of each instrument from its FIELDS; how many were written.

    Rows without a price, and instruments that the database does not know, are left out.
    """
    ids = instrument_ids(rows)
    records = [
        _last_price(ids[key], row, at)
        for key, row in rows.items()
        if key in ids and row[COLUMN["last_price"]] == row[COLUMN["last_price"]]
    ]
    with transaction.atomic():
        LastPrice.objects.bulk_create(
            records,
            batch_size=ROWS_PER_STATEMENT,
            update_conflicts=True,
            unique_fields=["instrument"],
            update_fields=[
                "last_price", "previous_close", "open", "high", "low", "volume", "traded_at",
                "source", "stored_at",
            ],
        )  # fmt: skip
    return len(records)


def _last_price(instrument_id: int, row: Sequence[float], at: datetime) -> LastPrice:
    def price(name: str) -> Decimal | None:
        value = row[COLUMN[name]]
        return None if value != value else exact_price(float(value))

    volume, stamp = row[COLUMN["volume"]], row[COLUMN["timestamp_ms"]]
    return LastPrice(
        instrument_id=instrument_id,
        last_price=exact_price(row[COLUMN["last_price"]]),
        previous_close=price("previous_close"),
        open=price("open"),
        high=price("high"),
        low=price("low"),
        volume=0 if volume != volume else int(volume),
        traded_at=at if stamp != stamp else clock.from_ms(int(stamp)),
        source=source_name(row[COLUMN["source"]]) or "stream",
        stored_at=at,
    )


def rescale_last_price(*, instrument: Instrument, factor: Fraction, before: datetime) -> None:
    """A split: `factor` units stand for one of before. A price older than `before` is divided and
    dated to that instant, so that it outranks yesterday's close and yields to today's first trade.
    """
    with transaction.atomic():
        row = LastPrice.objects.select_for_update().filter(instrument=instrument).first()
        if row is None or row.traded_at >= before:
            return
        for name in ("last_price", "previous_close", "open", "high", "low"):
            value = getattr(row, name)
            if value is not None:
                divided = exact_price(value * factor.denominator / factor.numerator)
                setattr(row, name, divided)
        row.volume = int(row.volume * factor)
        row.traded_at = before
        row.save()


def store_minutes(*, bars: Iterable[tuple[str, Bar]]) -> int:
    """Upsert one-minute candles; how many were written.

    A bar that came in two parts (an engine restarted within its minute) keeps the part written
    last, whose volume is the smaller loss against a wrong sum.
    """
    newest = {(key, bar.start_ms): bar for key, bar in bars}
    ids = instrument_ids({key for key, _ in newest})
    records = [
        Candle(
            instrument_id=ids[key],
            interval=Candle.Interval.MINUTE,
            start=clock.from_ms(start_ms),
            open=exact_price(bar.open),
            high=exact_price(bar.high),
            low=exact_price(bar.low),
            close=exact_price(bar.close),
            volume=bar.volume,
        )
        for (key, start_ms), bar in newest.items()
        if key in ids
    ]
    upsert_candles(records)
    return len(records)


def upsert_candles(records: Sequence[Candle]) -> None:
    """Write candles, replacing those of the same instrument, interval and start."""
    with transaction.atomic():
        Candle.objects.bulk_create(
            records,
            batch_size=ROWS_PER_STATEMENT,
            update_conflicts=True,
            unique_fields=["instrument", "interval", "start"],
            update_fields=["open", "high", "low", "close", "volume"],
        )
