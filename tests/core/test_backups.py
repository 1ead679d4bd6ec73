"""Backup while the books are written to, restore elsewhere, and prove the books."""

import gzip
import hashlib
import json
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockmarket.core import backups, pg_tools
from tests.support.installation import Installation, installations
from tests.support.product import FLAVOURS

pytestmark = pytest.mark.timeout(900)  # whole installations are migrated and seeded
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def name(at: datetime) -> str:
    return f"mockmarket-{at:%Y%m%dT%H%M%SZ}.tar"


@given(st.lists(st.integers(0, 60 * 24 * 60), max_size=200))
def test_retention_keeps_a_day_whole_and_one_a_day_for_a_month(minutes: list[int]) -> None:
    names = {name(AT - timedelta(minutes=m)): timedelta(minutes=m) for m in minutes}
    gone = set(backups.expired(names, at=AT))
    assert not {n for n, age in names.items() if age <= timedelta(hours=24)} & gone
    kept = {n: (AT - age).date() for n, age in names.items() if n not in gone}
    old = [day for n, day in kept.items() if names[n] > timedelta(hours=24)]
    assert len(old) == len(set(old))
    assert all(names[n] <= timedelta(days=30) for n in kept)
    # Every day of the last month that had a backup still has one.
    assert {(AT - age).date() for age in names.values() if age <= timedelta(days=30)} == set(
        kept.values()
    )


def test_foreign_files_are_never_expired() -> None:
    assert backups.expired(["notes.txt", "mockmarket-latest.tar"], at=AT) == []


@pytest.fixture(scope="module", params=FLAVOURS)
def pair(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[list[Installation]]:
    """A seeded installation and an empty one of the same kind, with a Redis between them."""
    folders = [tmp_path_factory.mktemp(which) for which in ("the source", "the target")]
    with installations(request.param, *folders) as made:
        made[0].manage("migrate", "-v", "0")
        made[0].manage("seed_demo")
        yield made


def test_a_backup_under_load_restores_to_proven_books(pair: list[Installation]) -> None:
    source, target = pair
    with source.written_to() as writer:
        before = [writer.stdout.readline() for _ in range(20)]
        began = time.perf_counter()
        source.manage("backup")
        taken = time.perf_counter() - began
        after = [writer.stdout.readline() for _ in range(20)]
    assert all(before)
    assert all(after)
    archive, _ = backups.newest(source.folder / "backups") or pytest.fail("no backup was written")

    began = time.perf_counter()
    output = target.manage("restore", str(archive), "--yes")
    restored = time.perf_counter() - began
    assert restored < 15 * 60  # the recovery time we promise
    assert "whole" in output

    then, now = target.books(), source.books()
    heads = then["heads"]
    # What was committed before the backup began is in it; nothing in it is half an entry.
    assert all(heads[p] >= int(seq) for p, seq in (line.split() for line in before))
    assert then["rows"] == [row for row in now["rows"] if row[1] <= heads[str(row[0])]]
    assert len(then["rows"]) < len(now["rows"])
    assert "The books prove" in output
    kind = "PostgreSQL" if source.environment.get("DATABASE_URL") else "SQLite"
    print(  # noqa: T201 (the figures are the point)
        f"{kind}: backup {taken:.1f} s, restored and proved {restored:.1f} s,"
        f" {len(then['rows'])} postings, {archive.stat().st_size / 1e6:.1f} MB"
    )
    for secret in ("secret_key", "demo_password"):
        assert (target.folder / secret).read_text() == (source.folder / secret).read_text()


MEANWHILE = """
from threading import Thread
from django.core.management import call_command
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import booking
from portfolios.models import Portfolio
from trading import verification

def book():
    portfolio = Portfolio.objects.order_by("pk").first()
    admin = User.objects.get(username="admin")
    booking.adjust_cash(portfolio=portfolio, amount=1, reason="load", actor=admin, at=clock.now())

def added_up_late(ids, added_up=verification._totals):
    totals = added_up(ids)
    writer = Thread(target=book)
    writer.start()
    writer.join()
    return totals

verification._totals = added_up_late
before = Portfolio.objects.order_by("pk").first().entry_seq
call_command("check_ledger")
print("booked meanwhile:", Portfolio.objects.order_by("pk").first().entry_seq - before)
"""


def test_books_that_are_written_to_prove_as_of_one_moment(pair: list[Installation]) -> None:
    said = pair[0].manage("shell", "-v", "0", "-c", MEANWHILE)
    assert "The books prove" in said
    assert "booked meanwhile: 1" in said


def test_what_does_not_fit_is_refused_before_anything_changes(
    pair: list[Installation], tmp_path: Path
) -> None:
    source, target = pair
    source.manage("backup", "--to", str(tmp_path / "kept"))
    archive, _ = backups.newest(tmp_path / "kept") or pytest.fail("no backup was written")
    target.manage("migrate", "-v", "0")
    before = target.books()
    damaged = _changed(archive, tmp_path / "a.tar", database=b"not a database")
    for reason, path, key in (
        ("damaged", damaged, target.environment["BACKUP_KEY"]),
        ("does not open the secrets", archive, "wrong"),
    ):
        ended = target.tried("restore", str(path), "--yes", BACKUP_KEY=key)
        assert ended.returncode == 1
        assert reason in ended.stderr
        assert "Traceback" not in ended.stderr
    assert target.books() == before


def test_a_backup_of_format_1_restores_too(pair: list[Installation], tmp_path: Path) -> None:
    """Before format 2 SQLite's snapshot lay in the file as it is."""
    source, target = pair
    source.manage("backup", "--to", str(tmp_path / "kept"))
    archive, _ = backups.newest(tmp_path / "kept") or pytest.fail("no backup was written")
    with tarfile.open(archive) as tar:
        manifest = backups.Manifest(**json.load(tar.extractfile("manifest.json")))
        stored = tar.extractfile("database").read()
    if manifest.vendor == "sqlite":
        plain = gzip.decompress(stored)
        assert plain.startswith(b"SQLite format 3")
        assert len(stored) < len(plain) / 2
        stored = plain
    old = _archive(tmp_path / "old.tar", replace(manifest, format=1), stored)
    assert "The books prove" in target.manage("restore", str(old), "--yes")
    assert target.books() == source.books()


def test_a_snapshot_that_does_not_unpack_is_damaged(tmp_path: Path) -> None:
    manifest = _manifest("sqlite")
    packed = gzip.compress(b"SQLite format 3" * 1000)
    assert (
        b"SQLite"
        in backups.extract(
            _archive(tmp_path / "a.tar", manifest, packed), manifest, tmp_path
        ).read_bytes()
    )
    flipped = packed[:20] + bytes([packed[20] ^ 255]) + packed[21:]
    for stored in (b"not packed", packed[:-20], flipped):
        with pytest.raises(backups.BadBackup, match="damaged"):
            backups.extract(_archive(tmp_path / "b.tar", manifest, stored), manifest, tmp_path)


def test_what_is_no_backup_of_ours_is_named(tmp_path: Path) -> None:
    vendor = backups.connection.vendor
    manifest = _manifest(vendor)
    whole = _archive(tmp_path / "whole.tar", manifest)
    assert backups.inspect(whole).vendor == vendor
    for reason, path in {
        "damaged": _archive(tmp_path / "a.tar", manifest, digest="0" * 64),
        "newer version": _archive(
            tmp_path / "b.tar", replace(manifest, migrations=["core.9999_future"])
        ),
        "the backup is of": _archive(tmp_path / "c.tar", replace(manifest, vendor="oracle")),
        "format 99": _archive(tmp_path / "d.tar", replace(manifest, format=99)),
        "not a whole backup": _cut(whole, tmp_path / "e.tar"),
        "FileNotFoundError": tmp_path / "f.tar",
    }.items():
        with pytest.raises(backups.BadBackup, match=reason):
            backups.inspect(path)


@pytest.mark.django_db
def test_a_backup_that_cannot_be_read_back_is_not_kept(tmp_path: Path, monkeypatch) -> None:
    def cut(target: Path) -> None:
        target.write_bytes(b"not a database")

    kept = tmp_path / name(AT - timedelta(days=2))
    kept.touch()
    monkeypatch.setattr(pg_tools, "dump", cut)
    monkeypatch.setattr(backups, "_vacuum_into", cut)
    with pytest.raises(backups.BackupFailed, match=r"cannot be read back|pg_restore"):
        backups.take(folder=tmp_path, at=AT)
    assert backups.newest(tmp_path) == (kept, AT - timedelta(days=2))
    assert {path.name for path in tmp_path.iterdir()} == {kept.name, ".lock"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(backups.BackupFailed, match="--to"):
        backups.take(folder=tmp_path / "file" / "backups", at=AT)


def test_the_secrets_are_not_readable_in_the_file(pair: list[Installation], tmp_path: Path) -> None:
    source, _ = pair
    source.manage("backup", "--to", str(tmp_path))
    archive, _ = backups.newest(tmp_path) or pytest.fail("no backup was written")
    content = archive.read_bytes()
    assert archive.stat().st_mode & 0o077 == 0
    for secret in ("secret_key", "demo_password"):
        assert (source.folder / secret).read_bytes().strip() not in content


def _changed(archive: Path, target: Path, *, database: bytes) -> Path:
    """A copy of the backup with another database in it."""
    with tarfile.open(archive) as tar, tarfile.open(target, "w") as out:
        for member in tar.getmembers():
            data = database if member.name == "database" else tar.extractfile(member).read()
            backups._add_bytes(out, member.name, data, AT)
    return target


def _manifest(vendor: str) -> backups.Manifest:
    return backups.Manifest(
        format=backups.FORMAT, created_at="", vendor=vendor, database_sha256="", migrations=[],
        secrets=False,
    )  # fmt: skip


def _archive(
    target: Path,
    manifest: backups.Manifest,
    database: bytes = b"a database" * 1000,
    digest: str | None = None,
) -> Path:
    right = digest or hashlib.sha256(database).hexdigest()
    manifest = replace(manifest, database_sha256=right)
    with tarfile.open(target, "w") as tar:
        backups._add_bytes(tar, "manifest.json", json.dumps(backups.asdict(manifest)).encode(), AT)
        backups._add_bytes(tar, "database", database, AT)
    return target


def _cut(archive: Path, target: Path) -> Path:
    target.write_bytes(archive.read_bytes()[:5000])
    return target
