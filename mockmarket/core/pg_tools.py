"""PostgreSQL's own client programs, run against our database; its password stays out of `ps`."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from django.db import connection

from mockmarket.core import failpoints

# Longer than any campus needs (docs/operations/backup.md), shorter than the timer's unit allows.
SECONDS_MAX: Final = 840
BLOCK_BYTES: Final = 1 << 18
# The schema where the tables from before a restore wait until the restored books are proven.
ASIDE: Final = "before_restore"
OPTIONS: Final = {"sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT"}


class ToolFailed(Exception):
    """A client program of PostgreSQL is missing, or said no."""


def dump(target: Path) -> None:
    """A consistent snapshot of the database, in pg_dump's own compressed form."""
    # What an unfinished restore has set aside is not part of the installation.
    _run(
        [
            "pg_dump", "--format=custom", "--no-owner", "--no-privileges",
            f"--exclude-schema={ASIDE}", "--file", str(target),
        ]
    )  # fmt: skip


def read_through(dumped: Path) -> None:
    """Unpack a dump to nowhere: raises ToolFailed when any of it cannot be read."""
    _run(["pg_restore", "--file", os.devnull, str(dumped)])


def execute(script: str) -> None:
    """Run SQL in one transaction, without the limits that a web process lives under."""
    _run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-1", "-c", script])


def pour(dumped: Path, *, before: str, tell: Callable[[int], None]) -> None:
    """Run `before`, then everything of a dump, in one transaction: all of it or nothing.

    `tell` hears how many bytes of SQL were written. Killed at any moment, this process leaves the
    database as it was: COMMIT is written last, by us, once pg_restore has ended well. psql's own
    --single-transaction commits whatever it got when its input ends early.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        source = subprocess.Popen(  # noqa: S603 - a fixed program with our own arguments
            [_program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dumped)],
            stdout=subprocess.PIPE,
            stderr=said,
        )
        sink = subprocess.Popen(  # noqa: S603
            [_program("psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=answered,
            env={**os.environ, **_libpq()},
        )
        with source, sink:
            assert source.stdout is not None
            assert sink.stdin is not None
            try:
                _pump(source, sink, f"BEGIN;\n{before}\n", tell)
            except BrokenPipeError:
                source.kill()  # psql has ended, and says why below
            except BaseException:
                sink.kill()
                source.kill()
                raise
            finally:
                with suppress(BrokenPipeError):
                    sink.stdin.close()
        if sink.returncode:
            raise ToolFailed(f"PostgreSQL refused the restore: {_last(answered)}")
        if source.returncode:
            raise ToolFailed(f"pg_restore failed: {_last(said)}")


def _pump(
    source: "subprocess.Popen[bytes]",
    sink: "subprocess.Popen[bytes]",
    before: str,
    tell: Callable[[int], None],
) -> None:
    assert source.stdout is not None
    assert sink.stdin is not None
    written = sink.stdin.write(before.encode())
    while block := source.stdout.read(BLOCK_BYTES):
        written += sink.stdin.write(block)
        sink.stdin.flush()
        failpoints.reach("restore.pouring")
        tell(written)
    if source.wait() == 0:
        sink.stdin.write(b"COMMIT;\n")
    sink.stdin.close()
    sink.wait()


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


def _run(command: Sequence[str]) -> None:
    program = _program(command[0])
    try:
        result = subprocess.run(  # noqa: S603 - a fixed program with our own arguments
            [program, *command[1:]],
            env={**os.environ, **_libpq()},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailed(f"{command[0]} had not ended after {SECONDS_MAX} s") from error
    if result.returncode:
        raise ToolFailed(f"{command[0]} failed: {result.stderr.strip()[-500:]}")


def _program(name: str) -> str:
    program = shutil.which(name)
    if program is None:
        raise ToolFailed(f"{name} is missing: apt-get install postgresql-client")
    return program


def _last(output: IO[bytes]) -> str:
    output.seek(0)
    return output.read().decode(errors="replace").strip()[-500:]


def _libpq() -> dict[str, str]:
    database = connection.settings_dict
    found = {
        "PGHOST": database["HOST"] or "/var/run/postgresql",
        "PGPORT": str(database["PORT"] or 5432),
        "PGUSER": database["USER"],
        "PGPASSWORD": database["PASSWORD"],
        "PGDATABASE": database["NAME"],
        "PGCONNECT_TIMEOUT": "10",
        "PGAPPNAME": "mockmarket backup",
        # Sorting for the indexes is a good part of a restore.
        "PGOPTIONS": "-c statement_timeout=0 -c lock_timeout=10s -c maintenance_work_mem=256MB",
    }
    options = database.get("OPTIONS", {})
    return found | {OPTIONS[name]: str(options[name]) for name in OPTIONS if name in options}
