"""Backup and restore of one installation: database, generated secrets, a manifest.

A backup is one tar file. Its database member is a consistent snapshot taken while trading goes on
(SQLite's VACUUM INTO, PostgreSQL's pg_dump). Secrets travel encrypted under BACKUP_KEY, or not at
all. A restore checks everything it can before it touches anything.
"""

import fcntl
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.loader import MigrationLoader

from mockmarket.core import alarms, pg_tools
from mockmarket.core.errors import DomainError

# 1 held SQLite's snapshot as it is; since 2 it is compressed by gzip, as pg_dump's always was.
FORMAT = 2
FORMATS = (1, FORMAT)
NAME = re.compile(r"^mockmarket-(\d{8}T\d{6}Z)\.tar$")
# A campus's 330 MB become 131 in 3.5 s of processor; level 6 makes 123 of them in 8.3 s.
GZIP_LEVEL = 1
BLOCK_BYTES = 1 << 20
SALT_BYTES = 16
SECRET_FILES = ("secret_key", "demo_password")
KEEP_ALL = timedelta(hours=24)
KEEP_DAILY_DAYS = 30
# The timer takes one each 15 minutes, and proves one each week.
AGE_MAX = timedelta(minutes=30)
PROOF_AGE_MAX = timedelta(days=8)
PROOF = "proof.json"
LATE_ALARM = "backup-late"
FAILED_ALARM = "backup-failed"
CURE = "See docs/operations/alarms.md, Backups fail."
UNFINISHED = ".taking-"


class BackupFailed(DomainError):
    """The backup could not be written; nothing was left behind."""

    code = "backup_failed"


class BadBackup(DomainError):
    """The file is not a backup, is damaged, or does not fit this installation."""

    code = "bad_backup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself. `migrations` are "app.name" of all applied ones."""

    format: int
    created_at: str
    vendor: str
    database_sha256: str
    migrations: list[str]
    secrets: bool


# --- Taking -----------------------------------------------------------------------------
def take(*, folder: Path, at: datetime, key: str = "") -> Path:
    """Write a backup into `folder` and return its path. Trading goes on meanwhile.

    A file has its name only once all of it was read back from the disk: what is named like a
    backup is one. `key` encrypts the generated secrets; empty leaves them out. Raises
    BackupFailed, and leaves nothing behind.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _turn(folder), tempfile.TemporaryDirectory(dir=folder, prefix=UNFINISHED) as work:
            return _take(folder, Path(work), at, key)
    except OSError as error:
        raise BackupFailed(
            f"cannot write to {folder}: {error.strerror or error}. Free some room there, give this"
            " user the folder, or name another one with --to"
        ) from error
    except DatabaseError as error:
        raise BackupFailed(f"the database does not answer: {str(error).strip()[:300]}") from error
    except pg_tools.ToolFailed as error:
        raise BackupFailed(str(error)) from error


def _take(folder: Path, work: Path, at: datetime, key: str) -> Path:
    dump, archive = work / "database", work / "archive.tar"
    if connection.vendor == "sqlite":
        _compressed_snapshot(dump)
    else:
        pg_tools.dump(dump)
    secrets = _encrypted_secrets(key) if key else b""
    manifest = Manifest(
        format=FORMAT,
        created_at=at.isoformat(),
        vendor=connection.vendor,
        database_sha256=_sha256(dump),
        migrations=sorted(_applied()),
        secrets=bool(secrets),
    )
    with tarfile.open(archive, "w") as tar:
        _add_bytes(tar, "manifest.json", json.dumps(asdict(manifest), indent=2).encode(), at)
        tar.add(dump, "database")
        if secrets:
            _add_bytes(tar, "secrets.enc", secrets, at)
    dump.unlink()
    with archive.open("rb") as written:
        os.fsync(written.fileno())
    try:
        _read_back(archive, work)
    except BadBackup as error:
        raise BackupFailed(f"what was written cannot be read back: {error.message}") from error
    archive.chmod(0o600)
    target = folder / f"mockmarket-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar"
    archive.replace(target)
    return target


def _read_back(archive: Path, work: Path) -> None:
    """The first half of a restore, from the file as it now stands on the disk."""
    manifest = inspect(archive)
    dump = extract(archive, manifest, work)
    if manifest.vendor == "sqlite":
        check_sqlite(dump)
    else:
        pg_tools.read_through(dump)
    dump.unlink()


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One backup at a time in a folder; what a killed one left there is removed."""
    with (folder / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def expired(names: Iterable[str], *, at: datetime) -> list[str]:
    """Backups that retention lets go: all of a day are kept, then one a day for 30 days. Pure."""
    taken = {name: _taken_at(name) for name in names if NAME.match(name)}
    kept_days: set[Any] = set()
    gone = []
    for name in sorted(taken):
        moment = taken[name]
        if at - moment <= KEEP_ALL:
            continue
        first_of_day = moment.date() not in kept_days
        if first_of_day and at - moment <= timedelta(days=KEEP_DAILY_DAYS):
            kept_days.add(moment.date())
        else:
            gone.append(name)
    return gone


def newest(folder: Path) -> tuple[Path, datetime] | None:
    """The latest backup in `folder` with the instant it was taken."""
    found = sorted(path for path in folder.glob("*.tar") if NAME.match(path.name))
    return (found[-1], _taken_at(found[-1].name)) if found else None


def lacking(*, folder: Path, at: datetime) -> str:
    """What is wrong with the backups in `folder`, in one sentence; empty when nothing is."""
    found = newest(folder)
    if found is None:
        return f"There is no backup in {folder}."
    age = at - found[1]
    if age > AGE_MAX:
        return f"The newest backup is {age.total_seconds() / 60:.0f} minutes old."
    proved = proved_at(folder)
    if proved is None:
        return "No backup has ever been restored to see whether it works."
    if at - proved > PROOF_AGE_MAX:
        return f"For {(at - proved).days} days no backup was restored to see whether it works."
    return ""


def expected(folder: Path) -> bool:
    """Whether this installation is meant to have backups: one in use, or one that has some."""
    return bool(settings.HTTPS or newest(folder))


def watch(*, at: datetime) -> None:
    """Raise or clear the backups' alarm; level-triggered, called each minute."""
    folder = Path(settings.BACKUP_DIR)
    why = lacking(folder=folder, at=at) if expected(folder) else ""
    if why:
        alarms.raise_alarm(name=LATE_ALARM, message=f"{why} {CURE}", at=at)
    else:
        alarms.clear(name=LATE_ALARM)


def proved_at(folder: Path) -> datetime | None:
    """When a backup of this folder was last restored elsewhere and its books proved."""
    try:
        return datetime.fromisoformat(json.loads((folder / PROOF).read_text())["proved_at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_proof(*, path: Path, at: datetime, seconds: float) -> None:
    """Remember beside the backups that one of them was restored and proved."""
    note = {"file": path.name, "proved_at": at.isoformat(), "seconds": round(seconds, 1)}
    draft = path.with_name(f".{PROOF}")
    draft.write_text(json.dumps(note))
    draft.replace(path.with_name(PROOF))


def _taken_at(name: str) -> datetime:
    match = NAME.match(name)
    assert match is not None
    return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _compressed_snapshot(target: Path) -> None:
    snapshot = target.with_name("snapshot")
    _vacuum_into(snapshot)
    with snapshot.open("rb") as source, gzip.open(target, "wb", GZIP_LEVEL) as out:
        shutil.copyfileobj(source, out, BLOCK_BYTES)
    snapshot.unlink()


def _vacuum_into(target: Path) -> None:
    # One read transaction: a consistent snapshot, while writers go on under WAL.
    path = connection.settings_dict["NAME"]
    source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=30)
    try:
        source.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite refused the snapshot: {error}") from error
    finally:
        source.close()


def check_sqlite(dump: Path) -> None:
    """Every page and index of a snapshot agrees. Raises BadBackup."""
    check = sqlite3.connect(dump)
    try:
        verdict = check.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise BadBackup(f"the database in the backup is damaged: {error}") from error
    finally:
        check.close()
    if verdict != "ok":
        raise BadBackup(f"the database in the backup is damaged: {verdict}")


# --- Reading ----------------------------------------------------------------------------
def inspect(path: Path) -> Manifest:
    """The manifest of a backup that is whole and fits this code. Raises BadBackup."""
    try:
        with tarfile.open(path) as tar:
            member = tar.extractfile("manifest.json")
            assert member is not None
            manifest = Manifest(**json.load(member))
            database = tar.extractfile("database")
            assert database is not None
            digest = _sha256_of(database)
    except (tarfile.TarError, KeyError, TypeError, ValueError, AssertionError, OSError) as error:
        raise BadBackup(f"{path} is not a whole backup ({type(error).__name__})") from error
    if digest != manifest.database_sha256:
        raise BadBackup(f"{path} is damaged: the database's checksum differs")
    if manifest.format not in FORMATS:
        raise BadBackup(f"format {manifest.format} is not known to this version")
    if manifest.vendor != connection.vendor:
        raise BadBackup(
            f"the backup is of {manifest.vendor}, DATABASE_URL names {connection.vendor}"
        )
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations}
    if newer := sorted(set(manifest.migrations) - known):
        raise BadBackup(
            f"the backup was made by a newer version: {newer[0]} is not known here;"
            " install that version first"
        )
    return manifest


def extract(path: Path, manifest: Manifest, folder: Path) -> Path:
    """The database of an inspected backup, as a file in `folder`. Raises BadBackup."""
    dump = folder / "database"
    with tarfile.open(path) as tar, dump.open("wb") as out:
        stored = tar.extractfile("database")
        assert stored is not None
        if manifest.vendor != "sqlite" or manifest.format == 1:
            shutil.copyfileobj(stored, out, BLOCK_BYTES)
            return dump
        try:
            with gzip.open(stored) as database:
                shutil.copyfileobj(database, out, BLOCK_BYTES)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise BadBackup(f"the database in the backup is damaged: {error}") from error
    return dump


def secrets_of(path: Path, key: str) -> dict[str, str]:
    """The generated secrets in a backup; {} where it has none, or no key is given.

    Raises BadBackup when the key does not open them.
    """
    with tarfile.open(path) as tar:
        if not key or "secrets.enc" not in tar.getnames():
            return {}
        sealed = tar.extractfile("secrets.enc")
        assert sealed is not None
        return _decrypted_secrets(sealed.read(), key)


# --- Secrets ----------------------------------------------------------------------------
def _encrypted_secrets(key: str) -> bytes:
    found = {
        name: path.read_text()
        for name in SECRET_FILES
        if (path := Path(settings.VAR_DIR) / name).exists()
    }
    salt = os.urandom(SALT_BYTES)
    return salt + _cipher(key, salt).encrypt(json.dumps(found).encode())


def _decrypted_secrets(sealed: bytes, key: str) -> dict[str, str]:
    try:
        text = _cipher(key, sealed[:SALT_BYTES]).decrypt(sealed[SALT_BYTES:])
    except InvalidToken as error:
        raise BadBackup("BACKUP_KEY does not open the secrets of this backup") from error
    return {name: value for name, value in json.loads(text).items() if name in SECRET_FILES}


def _cipher(key: str, salt: bytes) -> Fernet:
    derived = Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(key.encode())
    return Fernet(urlsafe_b64encode(derived))


# --- Tools ------------------------------------------------------------------------------
def _applied() -> set[str]:
    from django.db.migrations.recorder import MigrationRecorder

    return {f"{app}.{name}" for app, name in MigrationRecorder(connection).applied_migrations()}


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes, at: datetime) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(data), int(at.timestamp()), 0o600
    tar.addfile(member, io.BytesIO(data))


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return _sha256_of(handle)


def _sha256_of(handle: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while block := handle.read(BLOCK_BYTES):
        digest.update(block)
    return digest.hexdigest()
