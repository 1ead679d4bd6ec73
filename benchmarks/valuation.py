"""Everybody valued and ranked after a full tick batch, against SQL and the ORM on PostgreSQL.

Both give for each portfolio its contest, equity, what is invested, unrealised and day profit,
return, rank, and how many it is ranked among; the benchmark holds every figure against the
other's. Per position both multiply what is held by the last price and sum; a position's own
figures are worked out for who looks, by neither here. Ours keeps from one pass to the next what a
tick does not move (where the day began, who competes with whom); a statement keeps nothing. What
was paid in is a constant in the statement and a column in ours.

revalue_ms_10k   10,000 portfolios x 20 positions (median)
revalue_ms_100k  100,000 x 20
revalue_cpu_ms_10k, revalue_cpu_ms_100k  the processor's part of it: what a busy machine hides
sql_ms_10k       the same 10,000 in one statement of PostgreSQL, prices already in a table; on one
                 core, as ours is
orm_ms_10k       the same through Django's ORM, valued row by row in Python; ten times what 1,000
                 take
ratio_sql_10k    sql_ms_10k / revalue_ms_10k
ratio_orm_10k    orm_ms_10k / revalue_ms_10k
goal_10k_met     revalue_ms_10k <= 10, revalue_ms_100k <= 100 and ratio_sql_10k >= 100
"""

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import chain
from statistics import median
from typing import Any

import numpy as np

from benchmarks.common import run

POSITIONS = 20
INSTRUMENTS = 2_200
CONTESTS = 5
PAID_IN = 1_000_000.0
DATABASE = "valuation_benchmark"
ORM_PART = 10


class Data:
    """Portfolios with twenty shares each, the same for every contender. Rupees."""

    def __init__(self, portfolios: int) -> None:
        random = np.random.default_rng(7)
        count = portfolios * POSITIONS
        self.portfolios = portfolios
        self.slot = np.repeat(np.arange(portfolios), POSITIONS)
        first = random.integers(0, INSTRUMENTS, portfolios)
        # Twenty different shares each: a step that shares no factor with the universe's size.
        self.row = (first[self.slot] + np.tile(np.arange(POSITIONS), portfolios) * 37) % INSTRUMENTS
        self.quantity = random.integers(1, 200, count)
        self.close = np.round(random.uniform(50, 4_000, INSTRUMENTS), 2)
        self.cost = np.round(self.quantity * self.close[self.row] * 1.01, 2)
        self.cash = np.round(random.uniform(0, 500_000, portfolios), 2)

    def prices(self, batch: int) -> np.ndarray:
        """Last prices after a batch of ticks that moved every share."""
        random = np.random.default_rng(batch)
        return np.round(self.close * random.normal(1.0, 0.01, INSTRUMENTS), 2)


def columns(data: Data) -> Any:
    """A book with the portfolios of `data`. Its columns are filled at once: `put` is made for
    one portfolio after a fill, and two million rows through it would take the benchmark's time."""
    from portfolios.book import Book

    book = Book(row_of=int)
    slots, rows = book._portfolios, book._positions
    for wanted, held in ((data.portfolios, slots), (len(data.slot), rows)):
        while held.size < wanted:
            held.allocate()
    slots.ints("id")[:] = np.arange(1, data.portfolios + 1)
    slots.ints("contest")[:] = np.arange(data.portfolios) % CONTESTS
    slots.ints("ranked")[:] = 1
    slots.floats("balance")[:] = data.cash
    slots.floats("paid_in")[:] = PAID_IN
    slots.floats("cost")[:] = slots.floats("invested")[:] = np.bincount(data.slot, data.cost)
    rows.ints("slot")[:] = data.slot
    rows.ints("row")[:] = data.row
    rows.ints("taken")[:] = 1
    rows.floats("quantity")[:] = data.quantity
    rows.floats("start_quantity")[:] = data.quantity
    rows.floats("cost")[:] = data.cost
    return book


def timed(work: Callable[[int], Any], repeats: int) -> tuple[float, Any]:
    """Median milliseconds of `work(batch)`, and what the last call gave; the first is not
    counted."""
    spent, found = [], work(0)
    for batch in range(1, repeats + 1):
        started = time.perf_counter()
        found = work(batch)
        spent.append((time.perf_counter() - started) * 1000)
    return median(spent), found


def ours(data: Data, repeats: int) -> tuple[float, float]:
    """Median milliseconds of a pass by the clock, and mean ones of the processor."""
    book = columns(data)
    batches = [data.prices(batch) for batch in range(repeats + 1)]

    def value(batch: int) -> Any:
        return book.value(last=batches[batch], previous_close=data.close, at_ms=batch)

    value(0)
    started = time.process_time()
    spent, _ = timed(value, repeats)
    return spent, (time.process_time() - started) * 1000 / (repeats + 1)


# --- PostgreSQL -------------------------------------------------------------------------
# Day columns count the session that they name; here nobody has traded today.
VALUED = """
WITH worth AS (
    SELECT q.portfolio_id,
           sum(q.quantity * l.last_price) AS value,
           sum((q.quantity - CASE q.session_date WHEN '2026-11-20' THEN q.day_quantity ELSE 0 END)
               * l.previous_close) AS started,
           sum(CASE q.session_date WHEN '2026-11-20' THEN q.day_cost ELSE 0 END) AS spent,
           sum(q.cost) AS cost
      FROM portfolios_position q JOIN marketdata_lastprice l USING (instrument_id)
     GROUP BY q.portfolio_id
), valued AS (
    SELECT p.id, p.contest_id,
           round((p.cash + p.margin) / 100.0 + w.value / 10000.0, 2) AS equity,
           (p.margin + p.debt + w.cost) / 100.0 AS invested,
           w.value / 10000.0 - w.cost / 100.0 AS unrealised,
           (w.value - w.started) / 10000.0 - w.spent / 100.0 AS day_pnl
      FROM portfolios_portfolio p JOIN worth w ON w.portfolio_id = p.id
)
SELECT id, contest_id, equity, invested, round(unrealised, 2), round(day_pnl, 2),
       (equity / 1000000 - 1) * 100, rank() OVER (PARTITION BY contest_id ORDER BY equity DESC),
       count(*) OVER (PARTITION BY contest_id)
  FROM valued
"""


def postgres(data: Data, repeats: int) -> tuple[float, float, list[tuple[Any, ...]]]:
    """Milliseconds in SQL and in the ORM, and the rows of the SQL."""
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SET max_parallel_workers_per_gather = 0")
        _fill(cursor, data)
        sql_ms, rows = timed(lambda _: _in_sql(cursor), repeats)
    started = time.perf_counter()
    _in_orm(portfolios=data.portfolios // ORM_PART)  # once: thousands of times its noise
    return sql_ms, (time.perf_counter() - started) * 1000 * ORM_PART, rows


@contextmanager
def scratch_database() -> Iterator[None]:
    """Django on a PostgreSQL database of its own, removed afterwards."""
    from tests.support import services

    found = services.found_postgres()
    server = None if found else services.start_postgres()
    server_url = found or server.url  # type: ignore[union-attr]
    os.environ["DATABASE_URL"] = services.create_database(server_url, DATABASE)
    os.environ["DJANGO_SETTINGS_MODULE"] = "mockmarket.settings"
    import django

    django.setup()
    from django.db import connection

    try:
        yield
    finally:
        connection.close()
        connection.close_pool()  # type: ignore[attr-defined]  # else it waits for its server
        services.drop_database(server_url, DATABASE)
        if server is not None:
            server.stop()


def _fill(cursor: Any, data: Data) -> None:
    """The same portfolios as rows of the product's tables."""
    from marketdata.models import Instrument, LastPrice
    from mockmarket.core.models import User
    from portfolios.models import Contest, Portfolio, Position

    people, shares = range(1, data.portfolios + 1), range(1, INSTRUMENTS + 1)
    _copy(cursor, User, ({"id": n, "username": f"s{n}", "password": "!"} for n in people))
    _copy(cursor, Instrument, ({"id": n, "key": f"NSE_EQ|{n}"} for n in shares))
    _copy(
        cursor,
        Contest,
        (
            {"id": n, "name": f"c{n}", "slug": f"c{n}", "join_code": f"c{n}", "rules": "{}"}
            for n in range(1, CONTESTS + 1)
        ),
    )
    _copy(
        cursor,
        Portfolio,
        (
            {"id": n + 1, "contest_id": n % CONTESTS + 1, "user_id": n + 1, "cash": cash}
            for n, cash in enumerate(np.rint(data.cash * 100).astype(int).tolist())
        ),
    )
    _copy(
        cursor,
        Position,
        (
            {
                "portfolio_id": slot + 1,
                "instrument_id": row + 1,
                "product": "CNC",
                "quantity": quantity,
                "cost": cost,
            }
            for slot, row, quantity, cost in zip(
                data.slot.tolist(),
                data.row.tolist(),
                data.quantity.tolist(),
                np.rint(data.cost * 100).astype(int).tolist(),
                strict=True,
            )
        ),
    )
    prices = np.rint(np.column_stack([data.prices(1), data.close]) * 10_000).astype(int)
    _copy(
        cursor,
        LastPrice,
        (
            {"instrument_id": n, "last_price": last, "previous_close": close}
            for n, (last, close) in zip(shares, prices.tolist(), strict=True)
        ),
    )
    cursor.execute("ANALYZE")


def _copy(cursor: Any, model: Any, rows: Iterable[dict[str, Any]]) -> None:
    """COPY rows as the database stores them; what a row leaves out has its field's default."""
    from django.db import connection, models

    rows = iter(rows)
    first = next(rows)
    left_out: dict[str, Any] = {}
    for field in model._meta.concrete_fields:
        default = field.get_default()
        if isinstance(field, models.DateTimeField) and not field.null:
            default = datetime(2026, 11, 20, tzinfo=UTC)
        if field.column not in first and not (field.primary_key and default is None):
            left_out[field.column] = field.get_db_prep_save(default, connection)
    columns = ", ".join([*first, *left_out])
    constant = tuple(left_out.values())
    with cursor.copy(f"COPY {model._meta.db_table} ({columns}) FROM STDIN") as copy:
        for row in chain([first], rows):
            copy.write_row((*row.values(), *constant))


def _in_sql(cursor: Any) -> list[tuple[Any, ...]]:
    cursor.execute(VALUED)
    rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _in_orm(*, portfolios: int) -> int:
    from marketdata.models import LastPrice
    from portfolios.models import Portfolio, Position

    prices = {row.instrument_id: row.last_price for row in LastPrice.objects.all()}
    worth: dict[int, Any] = defaultdict(int)
    for position in Position.objects.filter(portfolio_id__lte=portfolios).iterator():
        worth[position.portfolio_id] += position.quantity * prices[position.instrument_id]
    boards: dict[int, list[tuple[Any, int]]] = defaultdict(list)
    for portfolio in Portfolio.objects.filter(id__lte=portfolios).iterator():
        boards[portfolio.contest_id].append((portfolio.cash + worth[portfolio.id], portfolio.id))
    return sum(len(sorted(board, reverse=True)) for board in boards.values())


def _same_work(data: Data, rows: list[tuple[Any, ...]]) -> None:
    """The contenders gave the same figures for everybody."""
    found = columns(data).value(last=data.prices(1), previous_close=data.close, at_ms=1)
    # Both counted from 1; a portfolio of ours is in the contest of its place.
    theirs = np.array(sorted(rows), dtype=np.float64).T
    names = ("equity", "invested", "unrealised", "day_pnl", "return_percent")
    assert (found.ids == theirs[0]).all(), "portfolios differ"
    assert (found.contest + 1 == theirs[1]).all(), "contests differ"
    for name, column in zip(names, theirs[2:7], strict=True):
        assert np.allclose(getattr(found, name), column, rtol=0, atol=0.02), f"{name} differs"
    assert (found.rank == theirs[7]).all(), "rank differs"
    assert [found.of[int(key)] for key in found.contest] == theirs[8].tolist(), "counts differ"


def measure(*, quick: bool) -> dict[str, Any]:
    small = Data(10_000)
    small_ms, small_cpu_ms = ours(small, 31 if quick else 101)
    large_ms, large_cpu_ms = ours(Data(100_000), 5 if quick else 21)
    with scratch_database():
        sql_ms, orm_ms, rows = postgres(small, 5 if quick else 15)
    _same_work(small, rows)
    return {
        "revalue_ms_10k": round(small_ms, 3),
        "revalue_ms_100k": round(large_ms, 2),
        "revalue_cpu_ms_10k": round(small_cpu_ms, 3),
        "revalue_cpu_ms_100k": round(large_cpu_ms, 2),
        "sql_ms_10k": round(sql_ms, 1),
        "orm_ms_10k": round(orm_ms, 1),
        "ratio_sql_10k": round(sql_ms / small_ms, 1),
        "ratio_orm_10k": round(orm_ms / small_ms, 1),
        "goal_10k_met": small_ms <= 10 and large_ms <= 100 and sql_ms / small_ms >= 100,
    }


if __name__ == "__main__":
    run("valuation", measure)
