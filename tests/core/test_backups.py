"""Backup while the books are written to, restore elsewhere, and prove the books."""

import json
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockmarket.core import backups
from tests.support import services
from tests.support.product import FLAVOURS, ROOT, Product

pytestmark = pytest.mark.timeout(900)  # whole installations are migrated and seeded
AT = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
DIGEST = """
import hashlib, json
from portfolios.models import Posting, Portfolio
rows = list(Posting.objects.order_by("entry__portfolio_id", "entry__seq", "account").values_list(
    "entry__portfolio_id", "entry__seq", "account", "amount"))
heads = dict(Portfolio.objects.values_list("pk", "entry_seq"))
print(json.dumps({"rows": [[p, s, a, str(m)] for p, s, a, m in rows], "heads": heads}))
"""


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


class Installation(Product):
    """A product that is not started: only its database and its commands."""

    def restored_from(self, archive: Path) -> str:
        return self.manage("restore", str(archive), "--yes")

    def books(self) -> dict:
        return json.loads(self.manage("shell", "-v", "0", "-c", DIGEST))


@pytest.fixture(scope="module", params=FLAVOURS)
def pair(request: pytest.FixtureRequest, tmp_path_factory) -> Iterator[list[Installation]]:
    """A seeded installation and an empty one of the same kind, with a Redis between them."""
    folders = [tmp_path_factory.mktemp(which) for which in ("source", "target")]
    redis = services.start_redis()
    ending = [redis.stop]
    made = []
    found = None
    if request.param == "postgres":
        found = services.found_postgres()
        if found is None:
            server = services.start_postgres()
            ending.append(server.stop)
            found = server.url
    for folder in folders:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/tmp",  # noqa: S108 - nothing is written there
            "VAR_DIR": str(folder),
            "REDIS_URL": redis.url,
            "BACKUP_KEY": "correct horse battery staple",
        }
        if found is not None:
            database = f"mm_{folder.name}_{folder.stat().st_ino}"
            environment["DATABASE_URL"] = services.create_database(found, database)
            ending.append(lambda d=database: services.drop_database(found, d))
        made.append(Installation(folder, environment))
    source, _ = made
    source.manage("migrate", "-v", "0")
    source.manage("seed_demo")
    yield made
    for end in reversed(ending):
        end()


def test_a_backup_under_load_restores_to_proven_books(pair: list[Installation]) -> None:
    source, target = pair
    with subprocess.Popen(
        [sys.executable, "-m", "tests.support.ledger_load"],
        cwd=ROOT,
        env=source.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        before = [writer.stdout.readline() for _ in range(20)]
        began = time.perf_counter()
        source.manage("backup")
        taken = time.perf_counter() - began
        after = [writer.stdout.readline() for _ in range(20)]
        writer.stdin.close()
        writer.wait(30)
    assert all(before)
    assert all(after)
    archive, _ = backups.newest(source.folder / "backups") or pytest.fail("no backup was written")

    began = time.perf_counter()
    output = target.restored_from(archive)
    restored = time.perf_counter() - began
    assert restored < 15 * 60  # the recovery time we promise
    assert "whole" in output

    then, now = target.books(), source.books()
    heads = then["heads"]
    # What was committed before the backup began is in it; nothing in it is half an entry.
    assert all(heads[p] >= int(seq) for p, seq in (line.split() for line in before))
    assert then["rows"] == [row for row in now["rows"] if row[1] <= heads[str(row[0])]]
    assert len(then["rows"]) < len(now["rows"])
    assert "The books prove" in target.manage("check_ledger")
    kind = "PostgreSQL" if source.environment.get("DATABASE_URL") else "SQLite"
    print(  # noqa: T201 (the figures are the point)
        f"{kind}: backup {taken:.1f} s, restored and proved {restored:.1f} s,"
        f" {len(then['rows'])} postings, {archive.stat().st_size / 1e6:.1f} MB"
    )
    for secret in ("secret_key", "demo_password"):
        assert (target.folder / secret).read_text() == (source.folder / secret).read_text()


def test_what_does_not_fit_is_refused_before_anything_changes(
    pair: list[Installation], tmp_path: Path
) -> None:
    source, target = pair
    source.manage("backup", "--to", str(tmp_path / "kept"))
    archive, _ = backups.newest(tmp_path / "kept") or pytest.fail("no backup was written")
    spoilt = {
        "damaged": _changed(archive, tmp_path / "a.tar", database=b"not a database"),
        "newer version": _changed(archive, tmp_path / "b.tar", migrations=["core.9999_future"]),
        "the backup is of": _changed(archive, tmp_path / "c.tar", vendor="oracle"),
        "not a whole backup": _cut(archive, tmp_path / "d.tar"),
    }
    target.manage("migrate", "-v", "0")
    before = target.books()
    if source.environment.get("DATABASE_URL"):  # each reason starts Django anew; they differ not
        spoilt = {reason: spoilt[reason] for reason in ("damaged", "the backup is of")}
    for reason, path in spoilt.items():
        with pytest.raises(subprocess.CalledProcessError) as failure:
            target.restored_from(path)
        assert reason in failure.value.stderr
        assert "Traceback" not in failure.value.stderr
    wrong = Installation(target.folder, {**target.environment, "BACKUP_KEY": "wrong"})
    with pytest.raises(subprocess.CalledProcessError) as failure:
        wrong.restored_from(archive)
    assert "does not open the secrets" in failure.value.stderr
    assert target.books() == before


def test_the_secrets_are_not_readable_in_the_file(pair: list[Installation], tmp_path: Path) -> None:
    source, _ = pair
    source.manage("backup", "--to", str(tmp_path))
    archive, _ = backups.newest(tmp_path) or pytest.fail("no backup was written")
    content = archive.read_bytes()
    assert archive.stat().st_mode & 0o077 == 0
    for secret in ("secret_key", "demo_password"):
        assert (source.folder / secret).read_bytes().strip() not in content


def _changed(archive: Path, target: Path, *, database: bytes | None = None, **changes) -> Path:
    """A copy of the backup with another database or other words in its manifest."""
    with tarfile.open(archive) as tar, tarfile.open(target, "w") as out:
        for member in tar.getmembers():
            data = tar.extractfile(member).read()
            if member.name == "manifest.json" and changes:
                manifest = backups.Manifest(**json.loads(data))
                data = json.dumps(backups.asdict(replace(manifest, **changes))).encode()
            if member.name == "database" and database is not None:
                data = database
            backups._add_bytes(out, member.name, data, AT)
    return target


def _cut(archive: Path, target: Path) -> Path:
    target.write_bytes(archive.read_bytes()[:5000])
    return target
