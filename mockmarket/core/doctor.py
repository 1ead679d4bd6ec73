"""Is this installation healthy? Findings, each with what to do about it. Reads, changes nothing."""

import ctypes
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import redis as redis_errors
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection

from mockmarket.core import backups, clock, health, redis
from mockmarket.core.staticfiles import PACKAGE_FILES

DISK_FREE_BYTES_MIN = 200 * 10**6
DISK_FREE_BYTES_WANTED = 2 * 10**9
BACKUP_AGE_MAX = timedelta(minutes=20)  # the timer takes one each 15 minutes
CLOCK_DIFFERENCE_MAX = timedelta(seconds=1)
POSTGRES_MIN = 13
REDIS_MIN = (6, 2)
# adjtimex(2): the kernel's word on whether something keeps the clock true.
TIME_ERROR = 5
TIMEX_BYTES = 256


class Level(StrEnum):
    """How bad: FAIL stops the product or loses data, WARN will, once something else happens."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at. `cure` says what to do; empty when all is well."""

    check: str
    level: Level
    message: str
    cure: str = ""


Check = Callable[[datetime], Iterable[Finding]]


def examine(*, at: datetime, more: Iterable[Check] = ()) -> list[Finding]:
    """Every finding of the core's checks and of `more`."""
    found: list[Finding] = []
    for check in (*CHECKS, *more):
        try:
            found += check(at)
        except Exception as error:  # noqa: BLE001 - a check that breaks is itself a finding
            found.append(
                Finding(
                    check=check.__name__,
                    level=Level.FAIL,
                    message=f"the check itself failed: {type(error).__name__}: {error}",
                    cure="Mend what the other findings name first, then look again.",
                )
            )
    return found


def worst(findings: Iterable[Finding]) -> Level:
    """The gravest level among the findings."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.FAIL, Level.WARN) if level in levels), Level.OK)


def check_settings(at: datetime) -> Iterable[Finding]:
    """Django's checks; those for production only where the site is served as production."""
    production = settings.HTTPS
    messages = checks.run_checks(include_deployment_checks=production)
    for message in messages:
        serious = message.level >= checks.ERROR
        yield Finding(
            check="settings",
            level=Level.FAIL if serious else Level.WARN,
            message=f"{message.id}: {message.msg}",
            cure=message.hint or "See docs/operations/settings.md.",
        )
    if not messages:
        kind = "production" if production else "local: HTTPS is off"
        yield Finding(check="settings", level=Level.OK, message=f"no objection ({kind})")


def check_database(at: datetime) -> Iterable[Finding]:
    """It answers, its version is supported, its clock agrees."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            if connection.vendor == "postgresql":
                cursor.execute("SHOW server_version_num")
                major = int(cursor.fetchone()[0]) // 10_000
                cursor.execute("SELECT clock_timestamp()")
                yield _clock_finding("database", cursor.fetchone()[0])
                if major < POSTGRES_MIN:
                    yield Finding(
                        check="database",
                        level=Level.FAIL,
                        message=f"PostgreSQL {major} is too old",
                        cure=f"Upgrade PostgreSQL to {POSTGRES_MIN} or newer.",
                    )
    except DatabaseError as error:
        yield Finding(
            check="database",
            level=Level.FAIL,
            message=f"does not answer: {str(error).strip()[:200]}",
            cure="Is it running? Does DATABASE_URL name it? Is the password right?",
        )
        return
    yield Finding(check="database", level=Level.OK, message=f"{connection.vendor} answers")


def check_migrations(at: datetime) -> Iterable[Finding]:
    """Every migration of this version has been applied."""
    reason = health.CHECKS["migrations"]()
    yield Finding(
        check="migrations",
        level=Level.FAIL if reason else Level.OK,
        message=reason or "all applied",
        cure="Run `manage.py migrate`, then restart all processes." if reason else "",
    )


def check_redis(at: datetime) -> Iterable[Finding]:
    """It answers, its version is supported, it refuses rather than forgets when full."""
    try:
        about = redis.client().info()
        seconds, micros = redis.client().time()
    except redis_errors.RedisError as error:
        yield Finding(
            check="redis",
            level=Level.FAIL,
            message=f"does not answer ({type(error).__name__})",
            cure="Is it running? Does REDIS_URL name it? Without REDIS_URL, start `manage.py up`.",
        )
        return
    yield _clock_finding("redis", clock.from_ms(int(seconds) * 1000 + int(micros) // 1000))
    version = str(about.get("redis_version", "0"))
    if tuple(int(part) for part in version.split(".")[:2]) < REDIS_MIN:
        yield Finding(
            check="redis",
            level=Level.FAIL,
            message=f"version {version} is too old",
            cure="Upgrade to Redis 6.2, Valkey 7.2 or newer.",
        )
    if about.get("maxmemory") and about.get("maxmemory_policy") != "noeviction":
        yield Finding(
            check="redis",
            level=Level.WARN,
            message=f"maxmemory-policy is {about.get('maxmemory_policy')}: tasks may be forgotten",
            cure="Set maxmemory-policy to noeviction.",
        )
    yield Finding(check="redis", level=Level.OK, message=f"version {version} answers")


def check_engine(at: datetime) -> Iterable[Finding]:
    """A market engine is running."""
    reason = health.CHECKS["engine"]()
    yield Finding(
        check="engine",
        level=Level.FAIL if reason else Level.OK,
        message=reason or "its heartbeat is fresh",
        cure="Start it: `systemctl start mockmarket-engine`, or `manage.py up`." if reason else "",
    )


def check_static(at: datetime) -> Iterable[Finding]:
    """Style, scripts and fonts are there."""
    if settings.STATIC_HASHED:
        manifest = Path(settings.STATIC_ROOT) / "staticfiles.json"
        missing = [] if manifest.exists() else [str(manifest)]
        cure = "Run `manage.py collectstatic --noinput`."
    else:
        modules = Path(settings.BASE_DIR) / "node_modules"
        missing = [path for path in PACKAGE_FILES.values() if not (modules / path).exists()]
        cure = "Run `npm ci --omit=dev --ignore-scripts`."
    yield Finding(
        check="static files",
        level=Level.FAIL if missing else Level.OK,
        message=f"missing: {', '.join(missing[:3])}" if missing else "present",
        cure=cure if missing else "",
    )


def check_clock(at: datetime) -> Iterable[Finding]:
    """Something keeps this machine's clock true."""
    buffer = ctypes.create_string_buffer(TIMEX_BYTES)
    unsynchronised = ctypes.CDLL(None).adjtimex(buffer) == TIME_ERROR
    yield Finding(
        check="clock",
        level=Level.WARN if unsynchronised else Level.OK,
        message=f"{'not ' if unsynchronised else ''}synchronised, by the kernel's word",
        cure="Install a time service: `apt-get install chrony`." if unsynchronised else "",
    )


def check_disk(at: datetime) -> Iterable[Finding]:
    """There is room where the product writes, and it may write there."""
    folder = Path(settings.VAR_DIR)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    probe = folder / f".doctor-{time.monotonic_ns()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Finding(
            check="disk",
            level=Level.FAIL,
            message=f"cannot write to {folder}: {error.strerror}",
            cure="Give the service's user this folder: `chown -R mockmarket: VAR_DIR`.",
        )
        return
    level = (
        Level.FAIL
        if free < DISK_FREE_BYTES_MIN
        else Level.WARN
        if free < DISK_FREE_BYTES_WANTED
        else Level.OK
    )
    yield Finding(
        check="disk",
        level=level,
        message=f"{free / 1e9:.1f} GB free in {folder}",
        cure="" if level is Level.OK else "Free some: old recordings, old backups, logs.",
    )


def check_backups(at: datetime) -> Iterable[Finding]:
    """There is a recent backup, where backups are expected at all."""
    found = backups.newest(Path(settings.BACKUP_DIR))
    expected = settings.HTTPS or found is not None
    if not expected:
        yield Finding(check="backups", level=Level.OK, message="none, and none expected here")
        return
    age = at - found[1] if found else None
    late = age is None or age > BACKUP_AGE_MAX
    yield Finding(
        check="backups",
        level=Level.WARN if late else Level.OK,
        message="none" if age is None else f"the newest is {age.total_seconds() / 60:.0f} min old",
        cure="Enable the timer: `systemctl enable --now mockmarket-backup.timer`." if late else "",
    )


def check_dump(at: datetime) -> Iterable[Finding]:
    """PostgreSQL's own pg_dump can dump this server: an older one refuses, backup after backup."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        server = int(cursor.fetchone()[0]) // 10_000
    found = backups.dump_version()
    able = found is not None and found >= server
    yield Finding(
        check="pg_dump",
        level=Level.OK if able else Level.FAIL,
        message=(
            "is missing: no backup can be taken"
            if found is None
            else f"version {found}, server {server}"
        ),
        cure="" if able else f"Install the server's own tools: postgresql-client-{server}.",
    )


def _clock_finding(check: str, theirs: datetime) -> Finding:
    difference = abs(theirs - clock.now())
    far = difference > CLOCK_DIFFERENCE_MAX
    return Finding(
        check=check,
        level=Level.FAIL if far else Level.OK,
        message=f"its clock differs by {difference.total_seconds():.3f} s",
        cure="Synchronise both machines: fills and sessions go by the clock." if far else "",
    )


CHECKS: tuple[Check, ...] = (
    check_settings,
    check_database,
    check_migrations,
    check_redis,
    check_engine,
    check_static,
    check_clock,
    check_disk,
    check_backups,
    check_dump,
)
