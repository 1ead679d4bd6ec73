"""Backup and restore of one installation: database, generated secrets, a manifest.

A backup is one tar file. Its database member is a consistent snapshot taken while trading goes on
(SQLite's VACUUM INTO, PostgreSQL's pg_dump). Secrets travel encrypted under BACKUP_KEY, or not at
all. A restore checks everything it can before it touches anything.
"""

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from django.conf import settings
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from mockmarket.core.errors import DomainError

FORMAT = 1
NAME = re.compile(r"^mockmarket-(\d{8}T\d{6}Z)\.tar$")
SALT_BYTES = 16
SECRET_FILES = ("secret_key", "demo_password")
KEEP_ALL = timedelta(hours=24)
KEEP_DAILY_DAYS = 30
COMMAND_SECONDS = 900


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

    `key` encrypts the generated secrets; empty leaves them out. Raises BackupFailed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"mockmarket-{at.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar"
    with tempfile.TemporaryDirectory(dir=folder, prefix=".taking-") as name:
        work = Path(name)
        dump = work / "database"
        if connection.vendor == "sqlite":
            _vacuum_into(dump)
        else:
            _pg_dump(dump)
        secrets = _encrypted_secrets(key) if key else b""
        manifest = Manifest(
            format=FORMAT,
            created_at=at.isoformat(),
            vendor=connection.vendor,
            database_sha256=_sha256(dump),
            migrations=sorted(_applied()),
            secrets=bool(secrets),
        )
        archive = work / "archive.tar"
        with tarfile.open(archive, "w") as tar:
            _add_bytes(tar, "manifest.json", json.dumps(asdict(manifest), indent=2).encode(), at)
            tar.add(dump, "database")
            if secrets:
                _add_bytes(tar, "secrets.enc", secrets, at)
        with archive.open("rb") as written:
            os.fsync(written.fileno())
        archive.chmod(0o600)
        archive.replace(target)
    return target


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


def _taken_at(name: str) -> datetime:
    match = NAME.match(name)
    assert match is not None
    return datetime.strptime(match[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _vacuum_into(target: Path) -> None:
    # One read transaction: a consistent snapshot, while writers go on under WAL.
    path = settings.DATABASES["default"]["NAME"]
    source = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=30)
    try:
        source.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise BackupFailed(f"SQLite refused the snapshot: {error}") from error
    finally:
        source.close()


def _pg_dump(target: Path) -> None:
    _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file", str(target)])


# --- Restoring --------------------------------------------------------------------------
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
    if manifest.format != FORMAT:
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


def restore(path: Path, *, key: str = "") -> Manifest:
    """Replace the database (and, with `key`, the generated secrets) by those of the backup.

    Nothing may be running. The caller migrates afterwards and checks the books. Raises BadBackup
    before anything has been changed.
    """
    manifest = inspect(path)
    folder = Path(settings.VAR_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restoring-") as name:
        dump = Path(name) / "database"
        with tarfile.open(path) as tar:
            database = tar.extractfile("database")
            assert database is not None
            with dump.open("wb") as out:
                shutil.copyfileobj(database, out)
            sealed = tar.extractfile("secrets.enc") if manifest.secrets else None
            secrets = _decrypted_secrets(sealed.read(), key) if sealed and key else {}
        connection.close()
        if manifest.vendor == "sqlite":
            _replace_sqlite(dump)
        else:
            _replace_postgres(dump)
    for secret, text in secrets.items():
        target = folder / secret
        target.touch(mode=0o600)
        target.write_text(text)
    return manifest


def begin_new_epochs() -> None:
    """Give every private stream a new epoch: browsers may have seen numbers that are now gone.

    Called after a restore and its migrations; clients then load afresh instead of resuming.
    """
    from mockmarket.core.models import UserStream

    UserStream.objects.update(epoch=uuid.uuid4())


def _replace_sqlite(dump: Path) -> None:
    check = sqlite3.connect(dump)
    try:
        verdict = check.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise BadBackup(f"the database in the backup is damaged: {error}") from error
    finally:
        check.close()
    if verdict != "ok":
        raise BadBackup(f"the database in the backup is damaged: {verdict}")
    target = Path(settings.DATABASES["default"]["NAME"])
    for suffix in ("-wal", "-shm"):
        target.with_name(target.name + suffix).unlink(missing_ok=True)
    dump.replace(target)


def _replace_postgres(dump: Path) -> None:
    # The schema goes first: tables of newer migrations are not in the dump and would stay.
    with connection.cursor() as cursor:
        cursor.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    connection.close()
    _run(
        [
            "pg_restore", "--clean", "--if-exists", "--no-owner", "--no-privileges",
            "--single-transaction", "--exit-on-error",
            "--dbname", _libpq()["PGDATABASE"], str(dump),
        ]
    )  # fmt: skip


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
def _run(command: Sequence[str]) -> None:
    """A PostgreSQL client program against our database; the password stays out of its arguments."""
    program = shutil.which(command[0])
    if program is None:
        raise BackupFailed(f"{command[0]} is missing: apt-get install postgresql-client")
    result = subprocess.run(  # noqa: S603 - a fixed program with our own arguments
        [program, *command[1:]],
        env={**os.environ, **_libpq()},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    if result.returncode:
        raise BackupFailed(f"{command[0]} failed: {result.stderr.strip()[-500:]}")


def dump_version() -> int | None:
    """Major version of this machine's pg_dump; None where there is none."""
    program = shutil.which("pg_dump")
    if program is None:
        return None
    said = subprocess.run(  # noqa: S603 - a fixed program
        [program, "--version"], capture_output=True, text=True, check=False, timeout=10
    ).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else None


def _libpq() -> dict[str, str]:
    database = settings.DATABASES["default"]
    return {
        "PGHOST": database["HOST"] or "/var/run/postgresql",
        "PGPORT": str(database["PORT"] or 5432),
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": database["NAME"],
        "PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=0",
    }


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
    while block := handle.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()
