"""A restore that is killed or refused leaves a database that works; what is lost is bounded."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mockmarket.core import backups
from tests.support import services
from tests.support.installation import Installation, installations
from tests.support.product import FLAVOURS, ROOT

pytestmark = [pytest.mark.fault, pytest.mark.timeout(1800)]
COUNT_TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
POINTS = ("unpacked", "swapped", "migrated", "proven")


@pytest.fixture(scope="module", params=FLAVOURS)
def one(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[Installation]:
    """A seeded installation."""
    with installations(request.param, tmp_path_factory.mktemp("one")) as (made,):
        made.manage("migrate", "-v", "0")
        made.manage("seed_demo")
        yield made


def is_postgres(one: Installation) -> bool:
    return "DATABASE_URL" in one.environment


def backup_of(one: Installation, folder: Path) -> Path:
    one.manage("backup", "--to", str(folder))
    found = backups.newest(folder)
    assert found is not None
    return found[0]


def trade(one: Installation, entries: int) -> list[tuple[int, int]]:
    """Write so many entries; the portfolio and number of each, in the order of their commits."""
    with one.written_to() as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(entries)]
    return [(int(p), int(s)) for p, s in (line.split() for line in lines)]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_moment_it_leaves_one_whole_database(
    one: Installation, tmp_path: Path, point: str
) -> None:
    archive = backup_of(one, tmp_path)
    then = one.books()
    trade(one, 5)
    before = one.books()
    assert before != then

    killed = one.tried("restore", str(archive), "--yes", FAILPOINT=f"restore.{point}")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    late = is_postgres(one) and point != "unpacked"
    assert one.books() == (then if late else before)
    found = json.loads(one.tried("doctor", "--json").stdout)["findings"]
    assert any(f["check"] == "restore" and f["level"] == "fail" for f in found) is late

    # Run again: from the state before the one that was killed, to the end.
    again = one.manage("restore", str(archive), "--yes")
    assert ("the database from before it is back" in again) is late
    assert one.books() == then
    left = {path.name for path in one.folder.iterdir() if "restoring" in path.name}
    assert left == set()


def test_killed_while_postgres_is_written_to_it_leaves_the_old_database(
    one: Installation, tmp_path: Path
) -> None:
    if not is_postgres(one):
        pytest.skip("PostgreSQL's alone: SQLite's file is renamed into place")
    archive = backup_of(one, tmp_path)
    trade(one, 5)
    before = one.books()
    killed = one.tried("restore", str(archive), "--yes", FAILPOINT="restore.pouring")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert one.books() == before
    assert "The books prove" in one.manage("check_ledger")


def test_control_psqls_own_transaction_commits_half_a_database(
    one: Installation, tmp_path: Path
) -> None:
    """Why COMMIT is ours to write: input that ends early ends psql's own transaction well."""
    if not is_postgres(one):
        pytest.skip("PostgreSQL's alone")
    archive = backup_of(one, tmp_path)
    with tarfile.open(archive) as tar:
        tar.extract("database", tmp_path, filter="data")
    whole = subprocess.run(
        ["pg_restore", "--no-owner", "--file=-", str(tmp_path / "database")],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    url = one.environment["DATABASE_URL"]
    server, name = url.rsplit("/", 1)[0] + "/postgres", f"{url.rsplit('/', 1)[1]}_half"
    half = services.create_database(server, name)
    try:
        ended = subprocess.run(
            ["psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", half],
            input=whole[: whole.rindex(b"\n", 0, len(whole) // 2) + 1],
            check=False, capture_output=True,
        )  # fmt: skip
        tables = subprocess.run(
            ["psql", "-X", "-qAt", "-c", COUNT_TABLES, half],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    finally:
        services.drop_database(server, name)
    assert ended.returncode == 0
    assert int(tables) > 0


def test_books_that_do_not_prove_bring_the_old_ones_back(one: Installation, tmp_path: Path) -> None:
    good = backup_of(one, tmp_path / "good")
    one.manage("shell", "-v", "0", "-c", SPOIL)
    spoilt = backup_of(one, tmp_path / "spoilt")
    one.manage("restore", str(good), "--yes")
    before = one.books()

    refused = one.tried("restore", str(spoilt), "--yes")
    assert refused.returncode == 1
    assert "--accept-findings" in refused.stderr
    assert "cash_differs" in refused.stdout
    assert "The books prove" in one.manage("check_ledger")
    assert one.books() == before

    one.manage("restore", str(spoilt), "--yes", "--accept-findings")
    assert one.tried("check_ledger").returncode == 1
    one.manage("restore", str(good), "--yes")


SPOIL = """
from portfolios.models import Portfolio
from django.db.models import F
Portfolio.objects.filter(pk=Portfolio.objects.order_by("pk").first().pk).update(cash=F("cash") + 1)
"""


def test_it_refuses_while_somebody_is_connected(one: Installation, tmp_path: Path) -> None:
    archive = backup_of(one, tmp_path)
    before = one.books()
    with one.written_to() as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        refused = one.tried("restore", str(archive), "--yes")
    assert refused.returncode == 1
    assert "stop the product first" in refused.stderr
    assert len(one.books()["rows"]) > len(before["rows"])


def test_a_proof_touches_nothing_and_is_remembered(one: Installation) -> None:
    one.manage("backup")
    trade(one, 3)
    before = one.books()
    folder = one.folder / "backups"
    with one.written_to():  # trading goes on
        assert "can be restored" in one.manage("restore", "--prove")
    assert backups.proved_at(folder) is not None
    assert backups.lacking(folder=folder, at=datetime.now(UTC)) == ""
    rows = one.books()["rows"]
    assert [row for row in rows if row[1] <= before["heads"][str(row[0])]] == before["rows"]


def test_a_full_disk_is_said_and_changes_nothing(one: Installation, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounts a small disk, which takes root")
    archive = backup_of(one, tmp_path)
    before = one.books()
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(small)], check=False
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        failed = one.tried("backup", "--to", str(small))
        assert failed.returncode == 1
        assert "Traceback" not in failed.stderr
        assert backups.newest(small) is None
        if is_postgres(one):  # SQLite's own database lies in that folder
            refused = one.tried("restore", str(archive), "--yes", VAR_DIR=str(small))
            assert "No space left" in refused.stderr
            assert "Traceback" not in refused.stderr
    finally:
        subprocess.run(["umount", str(small)], check=True)
    assert one.books() == before


def test_what_is_lost_was_written_after_the_last_backup(one: Installation) -> None:
    """The schedule, faster: a backup each few seconds, everything killed at a random moment."""
    chosen = random.Random(20261121)
    folder = one.folder / "backups"
    committed: list[tuple[float, int, int]] = []
    with one.written_to() as writer:
        assert writer.stdout is not None
        ends_at = time.monotonic() + chosen.uniform(20, 40)
        schedule: subprocess.Popen[bytes] | None = None
        while time.monotonic() < ends_at:
            portfolio, seq = writer.stdout.readline().split()
            committed.append((time.time(), int(portfolio), int(seq)))
            if schedule is None or schedule.poll() is not None:
                schedule = subprocess.Popen(
                    [sys.executable, "manage.py", "backup"],
                    cwd=ROOT, env=one.environment,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
        writer.kill()
        assert schedule is not None
        schedule.kill()
        schedule.wait()
    archive, taken_at = backups.newest(folder) or pytest.fail("no backup was written")
    present = one.books()["heads"]
    one.manage("restore", str(archive), "--yes")
    heads = one.books()["heads"]
    lost = [when for when, portfolio, seq in committed if seq > heads[str(portfolio)]]
    assert present != heads, "control: something is lost, or nothing was tested"
    assert all(when >= taken_at.timestamp() for when in lost)
    print(f"lost {len(lost)} of {len(committed)} entries")  # noqa: T201 - the figure is the point


def test_a_damaged_sqlite_file_is_replaced(one: Installation, tmp_path: Path) -> None:
    if is_postgres(one):
        pytest.skip("SQLite's alone")
    archive = backup_of(one, tmp_path)
    before = one.books()
    database = one.folder / "db.sqlite3"
    database.write_bytes(b"nothing that SQLite knows" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        sqlite3.connect(database).execute("SELECT count(*) FROM core_user")
    one.manage("restore", str(archive), "--yes")
    assert one.books() == before
