"""Is this installation healthy? Findings, each with what to do about it. Reads, changes nothing."""

import ctypes
import shutil
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import redis as redis_errors
from cryptography import x509
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection

from mockmarket.core import backups, clock, health, pg_tools, redis, restoring
from mockmarket.core.staticfiles import PACKAGE_FILES

DISK_FREE_BYTES_MIN = 200 * 10**6
DISK_FREE_BYTES_WANTED = 2 * 10**9
# Set by the minutely task that exists for it (marketdata.tasks.beat_heart).
JOBS_HEARTBEAT = ("heartbeat", "celery")
CLOCK_DIFFERENCE_MAX = timedelta(seconds=1)
CERTIFICATE_LEFT_WANTED = timedelta(days=14)
CONNECT_SECONDS = 2.0
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


@dataclass(frozen=True, slots=True)
class Check:
    """A question, and the checks without which it cannot be answered."""

    name: str
    look: Callable[[datetime], Iterable[Finding]]
    needs: tuple[str, ...] = ()


def examine(*, at: datetime, more: Iterable[Check] = ()) -> list[Finding]:
    """Every finding of the core's checks and of `more`."""
    found: list[Finding] = []
    for check in (*CHECKS, *more):
        failed = {finding.check for finding in found if finding.level is Level.FAIL}
        # Not asked again: each further question to a database that is away takes 2.5 s.
        if missing := next((name for name in check.needs if name in failed), None):
            found.append(_unknown(check, f"unknown while {missing} fails", missing))
            continue
        try:
            found += check.look(at)
        except Exception as error:  # noqa: BLE001 - a check that breaks is itself a finding
            text = " ".join(str(error).split())[:200]
            found.append(_unknown(check, f"could not look: {type(error).__name__}: {text}"))
    return found


def _unknown(check: Check, message: str, first: str = "what other findings name") -> Finding:
    cure = f"Mend {first} first, then look again."
    return Finding(check=check.name, level=Level.FAIL, message=message, cure=cure)


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
                yield _clock_finding("database clock", cursor.fetchone()[0])
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
            message=f"does not answer: {' '.join(str(error).split())[:200]}",
            cure="Is it running (`systemctl status postgresql`)? Are DATABASE_URL's host, name and"
            " password right?",
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
            cure="Is it running (`systemctl status redis-server`)? Does REDIS_URL name it? Without"
            " REDIS_URL, start `manage.py up`.",
        )
        return
    yield _clock_finding("redis clock", clock.from_ms(int(seconds) * 1000 + int(micros) // 1000))
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


def check_jobs(at: datetime) -> Iterable[Finding]:
    """Within three minutes a worker took a job that beat sent: both are alive."""
    beating = redis.client().exists(redis.key(*JOBS_HEARTBEAT))
    yield Finding(
        check="jobs",
        level=Level.OK if beating else Level.FAIL,
        message="beat sends and a worker takes them" if beating else "none ran for three minutes",
        cure=""
        if beating
        else "Start both: `systemctl start mockmarket-beat mockmarket-worker`, or `manage.py up`.",
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
        cure="Look at `chronyc tracking`; without it, `apt-get install chrony`."
        if unsynchronised
        else "",
    )


def check_disk(at: datetime) -> Iterable[Finding]:
    """There is room where the product writes, and it may write there."""
    folder = Path(settings.VAR_DIR)
    probe = folder / f".doctor-{time.monotonic_ns()}"
    try:
        free = shutil.disk_usage(folder).free
        probe.touch()
        probe.unlink()
    except OSError as error:
        yield Finding(
            check="disk",
            level=Level.FAIL,
            message=f"cannot write to {folder}: {error.strerror}",
            cure=f"Make the folder, and give it to the service: `chown -R mockmarket: {folder}`.",
        )
        return
    # Left by `manage.py` as root. The service, which is not root, stumbles over them later.
    owner = folder.stat().st_uid
    if strange := [path.name for path in folder.rglob("*") if path.lstat().st_uid != owner]:
        yield Finding(
            check="disk",
            level=Level.WARN,
            message=f"in {folder}, not of its owner: {', '.join(sorted(strange)[:3])}",
            cure=f"`chown -R --reference={folder} {folder}`; run `mockmarket`, not `manage.py`.",
        )
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
    """There is a recent backup and a proven one, where backups are expected at all."""
    folder = Path(settings.BACKUP_DIR)
    if not backups.expected(folder):
        yield Finding(check="backups", level=Level.OK, message="none, and none expected here")
        return
    why = backups.lacking(folder=folder, at=at)
    yield Finding(
        check="backups",
        level=Level.WARN if why else Level.OK,
        message=why or "the newest is recent, and one was proven",
        cure="Enable the timers: `systemctl enable --now mockmarket-backup.timer"
        " mockmarket-proof.timer`, then read `journalctl -u mockmarket-backup`."
        if why
        else "",
    )


def check_restore(at: datetime) -> Iterable[Finding]:
    """No restore was killed before the books were proven."""
    if restoring.unfinished():
        yield Finding(
            check="restore",
            level=Level.FAIL,
            message="one was killed before its books were proven",
            cure="Stop the product and run the same `manage.py restore` again.",
        )


def check_dump(at: datetime) -> Iterable[Finding]:
    """PostgreSQL's own pg_dump can dump this server: an older one refuses, backup after backup."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version_num")
        server = int(cursor.fetchone()[0]) // 10_000
    found = pg_tools.dump_version()
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


def check_certificate(at: datetime) -> Iterable[Finding]:
    """What browsers are shown at the site's address lasts, and they trust it."""
    if not (settings.HTTPS and settings.ALLOWED_ORIGINS):
        return
    site = urlsplit(settings.ALLOWED_ORIGINS[0])
    certificate = _certificate(site.hostname or "", site.port or 443)
    if certificate is None:
        yield Finding(
            check="certificate",
            level=Level.WARN,
            message=f"no TLS at {settings.ALLOWED_ORIGINS[0]}, seen from here",
            cure="Is nginx running (`nginx -t`, `systemctl status nginx`)? Does the name resolve?",
        )
        return
    ends = certificate.not_valid_after_utc
    own = certificate.issuer == certificate.subject
    level = Level.FAIL if ends <= at else Level.OK
    if level is Level.OK and (own or ends - at < CERTIFICATE_LEFT_WANTED):
        level = Level.WARN
    yield Finding(
        check="certificate",
        level=level,
        message=f"{'self-signed, ' if own else ''}until {ends:%d %b %Y}",
        cure=""
        if level is Level.OK
        else "Put one that browsers trust into /etc/ssl/mockmarket, then `systemctl reload nginx`.",
    )


def _certificate(host: str, port: int) -> x509.Certificate | None:
    """What is served under a name, trusted or not: at its address, else on this machine."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for address in (host, "127.0.0.1"):
        try:
            with (
                socket.create_connection((address, port), timeout=CONNECT_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=host) as secure,
            ):
                served = secure.getpeercert(binary_form=True)
        except OSError:
            continue
        if served:
            return x509.load_der_x509_certificate(served)
    return None


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
    Check("settings", check_settings),
    Check("database", check_database),
    Check("migrations", check_migrations, needs=("database",)),
    Check("redis", check_redis),
    Check("engine", check_engine, needs=("redis",)),
    Check("jobs", check_jobs, needs=("redis",)),
    Check("static files", check_static),
    Check("clock", check_clock),
    Check("disk", check_disk),
    Check("backups", check_backups),
    Check("restore", check_restore, needs=("database",)),
    Check("pg_dump", check_dump, needs=("database",)),
    Check("certificate", check_certificate),
)
