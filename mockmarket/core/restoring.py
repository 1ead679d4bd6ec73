"""Put an installation back to the state of a backup, or prove that it could be.

The database from before stays whole until the restored one has been migrated and its books have
been proven: on SQLite the backup is unpacked beside it and takes its place by one rename at the
end; on PostgreSQL its tables wait in a schema of their own. Killed at any moment, the installation
has one of the two, never half of one.
"""

import os
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import DatabaseError, connection
from psycopg import sql

from mockmarket.core import backups, failpoints, pg_tools
from mockmarket.core.backups import Manifest
from mockmarket.core.errors import DomainError
from mockmarket.core.pg_tools import ASIDE

Tell = Callable[[str], None]
TOLD_EACH_BYTES = 50 * 10**6
PROOF_DATABASE = "_proof"
LOCK_SECONDS = 2.0


class RestoreFailed(DomainError):
    """The restore was not carried out; the database from before is in place."""

    code = "restore_failed"


@contextmanager
def replaced(path: Path, manifest: Manifest, *, key: str, tell: Tell) -> Iterator[None]:
    """Within the block the connection speaks to the database of an inspected backup.

    Leave it normally and that is the installation's; by an exception, and the one from before is.
    Nothing else may be running. Raises BadBackup or RestoreFailed before anything has changed.
    """
    secrets = backups.secrets_of(path, key)
    with _errors_named(), _unpacked(path, manifest, tell) as dump:
        swapped = _sqlite_replaced if manifest.vendor == "sqlite" else _postgres_replaced
        with swapped(dump, tell):
            failpoints.reach("restore.swapped")
            yield
            failpoints.reach("restore.proven")
        _write_secrets(secrets)


@contextmanager
def elsewhere(path: Path, manifest: Manifest, *, tell: Tell) -> Iterator[None]:
    """Within the block the connection speaks to a copy of an inspected backup, which then goes."""
    with _errors_named(), _unpacked(path, manifest, tell) as dump:
        own = connection.settings_dict["NAME"]
        if manifest.vendor == "sqlite":
            backups.check_sqlite(dump)
            scratch = str(dump)
        else:
            scratch = _proof_database(str(own))
        try:
            _speak_to(scratch)
            if manifest.vendor != "sqlite":
                _pour(dump, "DROP SCHEMA public CASCADE; CREATE SCHEMA public;", tell)
            yield
            if manifest.vendor != "sqlite":
                pg_tools.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public;")
        finally:
            _speak_to(str(own))


def begin_new_epochs() -> None:
    """Give every private stream a new epoch: browsers may have seen numbers that are now gone.

    Called after a restore and its migrations; clients then load afresh instead of resuming.
    """
    from mockmarket.core.models import UserStream

    UserStream.objects.update(epoch=uuid.uuid4())


def unfinished() -> bool:
    """Whether a restore was killed after the new tables were in and before they were proven."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [ASIDE])
        return cursor.fetchone() is not None


# --- SQLite -----------------------------------------------------------------------------
@contextmanager
def _sqlite_replaced(dump: Path, tell: Tell) -> Iterator[None]:
    target = Path(connection.settings_dict["NAME"])
    connection.close()
    _alone_with(target)
    backups.check_sqlite(dump)
    tell("the snapshot's pages agree")
    # Beside the target, whatever file system that is on: a rename must not become a copy.
    scratch = target.with_name(f"{target.name}.restoring")
    _remove(scratch)
    try:
        shutil.move(dump, scratch)
        _speak_to(str(scratch))
        yield
        _speak_to(str(target))
        _alone_with(scratch)  # its log goes into it
        _alone_with(target)
        with scratch.open("rb") as written:
            os.fsync(written.fileno())
        # A log without its database would be replayed into ours.
        for suffix in ("-wal", "-shm"):
            target.with_name(target.name + suffix).unlink(missing_ok=True)
        scratch.replace(target)
        _sync_folder(target.parent)
    finally:
        _speak_to(str(target))
        _remove(scratch)


def _alone_with(database: Path) -> None:
    """Nobody else has the file open, and all of it is in it. Raises RestoreFailed.

    SQLite leaves its write-ahead log only for a connection that is alone with the file.
    """
    if not database.exists():
        return
    with closing(sqlite3.connect(database, timeout=LOCK_SECONDS)) as alone:
        try:
            alone.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise RestoreFailed(
                    f"{database} is in use: stop the product first, and whatever else reads it"
                ) from error
        except sqlite3.DatabaseError:
            return  # damaged: that is why it is to be replaced


def _remove(database: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- PostgreSQL -------------------------------------------------------------------------
@contextmanager
def _postgres_replaced(dump: Path, tell: Tell) -> Iterator[None]:
    _alone_on_server()
    if unfinished():
        _put_back()
        tell("an earlier restore had not ended: the database from before it is back")
    _speak_to(str(connection.settings_dict["NAME"]))
    _pour(dump, f"ALTER SCHEMA public RENAME TO {ASIDE}; CREATE SCHEMA public;", tell)
    try:
        yield
    except BaseException:
        _put_back()
        raise
    connection.close()
    pg_tools.execute(f"DROP SCHEMA {ASIDE} CASCADE")


def _put_back() -> None:
    _speak_to(str(connection.settings_dict["NAME"]))
    try:
        pg_tools.execute(f"DROP SCHEMA public CASCADE; ALTER SCHEMA {ASIDE} RENAME TO public")
    except pg_tools.ToolFailed as error:
        raise RestoreFailed(
            f"{error}. The tables from before are kept in the schema {ASIDE}: mend what failed,"
            " then run restore again"
        ) from error


def _pour(dump: Path, before: str, tell: Tell) -> None:
    told = 0

    def count(written: int) -> None:
        nonlocal told
        if written - told >= TOLD_EACH_BYTES:
            told = written
            tell(f"{written / 1e6:.0f} MB written")

    pg_tools.pour(dump, before=before, tell=count)
    tell("all tables and indexes are in")
    # A dump holds no statistics: without them the planner guesses until autovacuum has been by.
    pg_tools.execute("ANALYZE")


def _alone_on_server() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT coalesce(nullif(application_name, ''), usename, 'somebody')"
            " FROM pg_stat_activity WHERE datname = current_database() AND usesysid IS NOT NULL"
            " AND pid <> pg_backend_pid()"
        )
        others = sorted(str(row[0]) for row in cursor.fetchall())
    if others:
        raise RestoreFailed(
            f"the database is in use ({', '.join(others)}): stop the product first, on every"
            " machine, and whatever else is connected"
        )


def _proof_database(own: str) -> str:
    """The name of a database to restore into; made where the role may make one."""
    name = own + PROOF_DATABASE
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
        if cursor.fetchone() is None:
            try:
                cursor.execute(
                    sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)).as_string(None)
                )
            except DatabaseError as error:
                raise RestoreFailed(
                    f"there is no database {name} to restore into: as PostgreSQL's administrator,"
                    f" `createdb --owner {connection.settings_dict['USER']} {name}`"
                ) from error
    return name


# --- Both -------------------------------------------------------------------------------
def _speak_to(name: str) -> None:
    """Point the process's one connection at another database of the same kind."""
    connection.close()
    if hasattr(connection, "close_pool"):
        connection.close_pool()
    connection.settings_dict["NAME"] = name


@contextmanager
def _unpacked(path: Path, manifest: Manifest, tell: Tell) -> Iterator[Path]:
    folder = Path(settings.VAR_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(".restoring-*"):
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".restoring-") as name:
        dump = backups.extract(path, manifest, Path(name))
        tell(f"unpacked: {dump.stat().st_size / 1e6:.0f} MB")
        failpoints.reach("restore.unpacked")
        yield dump


@contextmanager
def _errors_named() -> Iterator[None]:
    """What the machine refuses, as a sentence that says that nothing has changed."""
    try:
        yield
    except OSError as error:
        raise RestoreFailed(
            f"{error.filename or 'the disk'}: {error.strerror or error}. The database from before"
            " is in place"
        ) from error
    except pg_tools.ToolFailed as error:
        raise RestoreFailed(f"{error}. The database from before is in place") from error
    except (DatabaseError, psycopg.Error) as error:
        raise RestoreFailed(f"the database does not answer: {str(error).strip()[:300]}") from error


def _write_secrets(secrets: dict[str, str]) -> None:
    for name, text in secrets.items():
        target = Path(settings.VAR_DIR) / name
        draft = target.with_name(f".{name}")
        with suppress(FileNotFoundError):
            draft.unlink()
        draft.touch(mode=0o600)
        draft.write_text(text)
        draft.replace(target)
