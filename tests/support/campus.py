"""A campus of 10,000 students and 1,000,000 postings, written by the database itself in bulk.

The rows are what the services would write: an opening entry and adjustments of one rupee each,
with their postings before them, so that the ledger's triggers see every one of them.
"""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg

STUDENTS = 10_000
ENTRIES_EACH = 50  # of two postings: 10,000 x 50 x 2 = 1,000,000
OPENING = 1_000_000

STATEMENTS = (
    """
    INSERT INTO core_user (username, password, email, first_name, last_name, is_active, is_staff,
                           is_superuser, date_joined, alias, theme, colour_blind)
    SELECT 'campus' || n, '!', '', '', '', true, false, false, now(), '', 'SYSTEM', false
      FROM generate_series(1, %(students)s) AS n
    """,
    """
    INSERT INTO portfolios_portfolio (contest_id, user_id, joined_at, cash, reserved, margin, debt,
                                      unsettled, entry_seq)
    SELECT c.id, u.id, now(), %(opening)s + %(entries)s - 1, 0, 0, 0, 0, %(entries)s
      FROM core_user u, portfolios_contest c
     WHERE u.username LIKE 'campus%%' AND c.is_practice
    """,
    """
    CREATE TEMPORARY TABLE draft ON COMMIT DROP AS
    SELECT gen_random_uuid() AS id, p.id AS portfolio_id, s AS seq,
           CASE WHEN s = 1 THEN %(opening)s ELSE 1 END AS amount
      FROM portfolios_portfolio p JOIN core_user u ON u.id = p.user_id,
           generate_series(1, %(entries)s) AS s
     WHERE u.username LIKE 'campus%%'
    """,
    """
    INSERT INTO portfolios_posting (entry_id, portfolio_id, account, amount)
    SELECT d.id, d.portfolio_id, leg.account, leg.sign * d.amount
      FROM draft d,
           (SELECT 'CASH' AS account, 1 AS sign UNION ALL SELECT 'CAPITAL', -1) AS leg
    """,
    """
    INSERT INTO portfolios_ledgerentry (id, portfolio_id, seq, kind, occurred_at, reference,
                                        description)
    SELECT id, portfolio_id, seq, CASE WHEN seq = 1 THEN 'OPENING' ELSE 'ADJUSTMENT' END, now(),
           CASE WHEN seq = 1 THEN 'opening' ELSE 'adjustment:' || id END, 'campus'
      FROM draft
    """,
)


# What SQLite says otherwise.
SQLITE = (
    (r"generate_series\(1, (.*?)\) AS (\w)", r"(WITH RECURSIVE up (\2) AS (SELECT 1 UNION ALL"
     r" SELECT \2 + 1 FROM up WHERE \2 < \1) SELECT \2 FROM up)"),
    (r"\bnow\(\)", "strftime('%Y-%m-%d %H:%M:%f', 'now')"),
    (r"gen_random_uuid\(\)", "lower(hex(randomblob(16)))"),
    (r"ON COMMIT DROP", ""),
    (r"%\((\w+)\)s", r":\1"),
    (r"%%", "%"),
)  # fmt: skip


def enrol_sqlite(path: Path) -> int:
    """`enrol` for a SQLite file. Raises sqlite3.Error."""
    values = {"students": STUDENTS, "entries": ENTRIES_EACH, "opening": OPENING}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("BEGIN IMMEDIATE")
        for statement in STATEMENTS:
            for ours, theirs in SQLITE:
                statement = re.sub(ours, theirs, statement)
            connection.execute(statement, values)
        connection.execute("COMMIT")
        return int(connection.execute("SELECT count(*) FROM portfolios_posting").fetchone()[0])


def enrol(database_url: str) -> int:
    """Write the campus in one transaction into a migrated, seeded database. Returns its postings.

    Raises psycopg.Error when a constraint or a trigger refuses a row: then nothing is written.
    """
    values = {"students": STUDENTS, "entries": ENTRIES_EACH, "opening": OPENING}
    with psycopg.connect(database_url) as connection:
        # In one transaction, hence not at the end of each statement: foreign keys are deferred.
        for statement in STATEMENTS:
            connection.execute(statement, values)
        found = connection.execute("SELECT count(*) FROM portfolios_posting").fetchone()
    assert found is not None
    return int(found[0])
