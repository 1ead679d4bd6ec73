"""The doctor: each finding names a cure, and the exit code tells a monitor how bad it is."""

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings as settings_
from django.core.management import call_command
from django.db import OperationalError, connections

from mockmarket.core import alarms, backups, clock, doctor
from mockmarket.core import redis as store
from mockmarket.core.doctor import Check, Finding, Level
from tests.support.network import free_port
from tests.support.site import NAME, make_certificate

AT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)


def levels(findings) -> dict[str, Level]:
    return {finding.check: finding.level for finding in findings}


def test_the_worst_level_wins() -> None:
    def finding(level: Level) -> Finding:
        return Finding(check="x", level=level, message="")

    assert doctor.worst([]) is Level.OK
    assert doctor.worst([finding(Level.OK), finding(Level.WARN)]) is Level.WARN
    assert doctor.worst([finding(Level.FAIL), finding(Level.WARN)]) is Level.FAIL


@pytest.mark.django_db
def test_every_complaint_has_a_cure() -> None:
    findings = doctor.examine(at=AT)
    assert all(finding.cure for finding in findings if finding.level is not Level.OK)
    assert levels(findings)["database"] is Level.OK
    assert levels(findings)["migrations"] is Level.OK


@pytest.mark.django_db
def test_a_check_that_breaks_is_a_finding_and_the_others_go_on() -> None:
    def broken(at: datetime):
        raise RuntimeError("boom")

    found = doctor.examine(at=AT, more=[Check("broken", broken)])
    assert found[-1].check == "broken"
    assert "boom" in found[-1].message
    assert len(found) > 5


def test_what_needs_a_failed_check_is_not_asked_and_says_what_to_mend(monkeypatch) -> None:
    def down(at: datetime):
        yield Finding(check="database", level=Level.FAIL, message="away", cure="Start it.")

    def asked(at: datetime):
        raise AssertionError

    monkeypatch.setattr(doctor, "CHECKS", (Check("database", down),))
    found = doctor.examine(at=AT, more=[Check("books", asked, needs=("database",))])
    assert [finding.check for finding in found] == ["database", "books"]
    assert "database" in found[1].message
    assert "database" in found[1].cure


@pytest.mark.django_db
def test_redis_away_is_found(settings) -> None:
    from mockmarket.core import redis

    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis.client.cache_clear()
    try:
        (finding,) = doctor.check_redis(AT)
    finally:
        redis.client.cache_clear()
    assert finding.level is Level.FAIL
    assert "REDIS_URL" in finding.cure


def test_static_files_missing_are_found(settings, tmp_path: Path) -> None:
    settings.STATIC_HASHED, settings.STATIC_ROOT = True, tmp_path
    (finding,) = doctor.check_static(AT)
    assert finding.level is Level.FAIL
    assert "collectstatic" in finding.cure
    (tmp_path / "staticfiles.json").touch()
    (finding,) = doctor.check_static(AT)
    assert finding.level is Level.OK


@pytest.mark.parametrize(
    ("age", "proof_age", "level"),
    [
        (timedelta(minutes=25), timedelta(days=7), Level.OK),
        (timedelta(minutes=35), timedelta(days=7), Level.WARN),
        (timedelta(minutes=25), timedelta(days=9), Level.WARN),
        (timedelta(minutes=25), None, Level.WARN),
    ],
    ids=["well", "late", "proof old", "never proven"],
)
def test_backups_late_or_unproven_are_found_and_raise_an_alarm(
    settings, tmp_path: Path, age: timedelta, proof_age: timedelta | None, level: Level
) -> None:
    settings.BACKUP_DIR = tmp_path
    path = tmp_path / f"mockmarket-{AT - age:%Y%m%dT%H%M%SZ}.tar"
    path.touch()
    if proof_age is not None:
        backups.note_proof(path=path, at=AT - proof_age, seconds=1)
    (finding,) = doctor.check_backups(AT)
    assert finding.level is level
    backups.watch(at=AT)
    standing = {alarm.name for alarm in alarms.current()}
    assert (backups.LATE_ALARM in standing) is (level is Level.WARN)


def test_production_without_a_backup_is_found(settings, tmp_path: Path) -> None:
    settings.BACKUP_DIR, settings.HTTPS = tmp_path, True
    (finding,) = doctor.check_backups(AT)
    assert finding.level is Level.WARN


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("program", "level"),
    [
        ("echo 'pg_dump (PostgreSQL) 9.6.1'", doctor.Level.FAIL),
        ("echo 'pg_dump (PostgreSQL) 99.0'", doctor.Level.OK),
        (None, doctor.Level.FAIL),
    ],
    ids=["too old", "new enough", "missing"],
)
def test_a_pg_dump_that_cannot_dump_this_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str | None, level: doctor.Level
) -> None:
    if program is not None:
        script = tmp_path / "pg_dump"
        script.write_text(f"#!/bin/sh\n{program}\n")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if program else str(tmp_path))
    (finding,) = doctor.check_dump(AT)
    assert finding.level is level
    assert bool(finding.cure) is (level is doctor.Level.FAIL)


def test_a_dead_beat_or_worker_is_found() -> None:
    name = store.key(*doctor.JOBS_HEARTBEAT)
    store.client().set(name, "now", ex=60)
    (finding,) = doctor.check_jobs(AT)
    assert finding.level is Level.OK
    store.client().delete(name)
    (finding,) = doctor.check_jobs(AT)
    assert finding.level is Level.FAIL
    assert "mockmarket-beat" in finding.cure


def test_the_task_that_beats_is_what_the_doctor_listens_to() -> None:
    from marketdata.tasks import beat_heart

    beat_heart()
    (finding,) = doctor.check_jobs(AT)
    store.client().delete(store.key(*doctor.JOBS_HEARTBEAT))
    assert finding.level is Level.OK


def test_a_folder_that_is_not_there_is_found_and_not_made(settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path / "none"
    (finding,) = doctor.check_disk(AT)
    assert finding.level is Level.FAIL
    assert not settings.VAR_DIR.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_another_user_are_found(settings, tmp_path: Path) -> None:
    settings.VAR_DIR = tmp_path
    (tmp_path / "left-by-root").touch()
    assert levels(doctor.check_disk(AT)) == {"disk": Level.OK}
    os.chown(tmp_path / "left-by-root", 65534, 65534)
    finding = next(iter(doctor.check_disk(AT)))
    assert finding.level is Level.WARN
    assert "left-by-root" in finding.message


@pytest.mark.parametrize(
    ("free", "level"), [(10**8, Level.FAIL), (10**9, Level.WARN), (10**10, Level.OK)]
)
def test_room_on_the_disk(settings, tmp_path: Path, monkeypatch, free: int, level: Level) -> None:
    settings.VAR_DIR = tmp_path
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    (finding,) = doctor.check_disk(AT)
    assert finding.level is level


class TestCertificate:
    @pytest.fixture(autouse=True)
    def production(self, settings) -> None:
        settings.HTTPS, settings.ALLOWED_ORIGINS = True, [f"https://{NAME}"]

    def test_none_served_is_found(self, settings) -> None:
        settings.ALLOWED_ORIGINS = [f"https://{NAME}:{free_port()}"]
        (finding,) = doctor.check_certificate(AT)
        assert finding.level is Level.WARN
        assert "nginx" in finding.cure

    def test_a_self_signed_one_is_read_from_a_server_and_found(
        self, settings, tmp_path: Path
    ) -> None:
        make_certificate(tmp_path)
        with serving_tls(tmp_path) as port:
            settings.ALLOWED_ORIGINS = [f"https://{NAME}:{port}"]
            (finding,) = doctor.check_certificate(clock.now())
            assert finding.level is Level.WARN
            assert "self-signed" in finding.message
            (finding,) = doctor.check_certificate(clock.now() + timedelta(days=2))
            assert finding.level is Level.FAIL

    @pytest.mark.parametrize(("days", "level"), [(5, Level.WARN), (60, Level.OK)])
    def test_one_that_ends_soon_is_found(self, monkeypatch, days: int, level: Level) -> None:
        served = SimpleNamespace(
            not_valid_after_utc=AT + timedelta(days=days), issuer="an authority", subject=NAME
        )
        monkeypatch.setattr(doctor, "_certificate", lambda host, port: served)
        (finding,) = doctor.check_certificate(AT)
        assert finding.level is level

    def test_without_https_nothing_is_asked(self, settings) -> None:
        settings.HTTPS = False
        assert list(doctor.check_certificate(AT)) == []


@contextmanager
def serving_tls(folder: Path) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "fullchain.pem", folder / "privkey.pem")
    server = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.django_db
def test_a_database_that_is_away_is_one_finding_and_the_others_wait(monkeypatch) -> None:
    def refused(*args, **kwargs):
        raise OperationalError("connection refused")

    out = StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(connections["default"], "cursor", refused)
        with pytest.raises(SystemExit):
            call_command("doctor", "--json", stdout=out)
    found = {item["check"]: item for item in json.loads(out.getvalue())["findings"]}
    assert "connection refused" in found["database"]["message"]
    for check in ("migrations", "calendar", "instruments"):
        assert found[check]["message"] == "unknown while database fails"


@pytest.mark.fault
@pytest.mark.postgres
@pytest.mark.parametrize("away", [("DATABASE_URL",), ("REDIS_URL",), ("DATABASE_URL", "REDIS_URL")])
def test_stores_that_are_away_cost_no_traceback(away: tuple[str, ...], tmp_path: Path) -> None:
    """The whole command: it ends with 2 and names each, whatever else leans on them."""
    port = free_port()
    urls = {
        "DATABASE_URL": f"postgres://nobody@127.0.0.1:{port}/none",
        "REDIS_URL": f"redis://127.0.0.1:{port}/0",
    }
    ended = run_doctor(tmp_path, **{name: urls[name] for name in away})
    assert ended.returncode == 2, ended.stderr
    assert not ended.stderr
    report = json.loads(ended.stdout)
    failed = {found["check"] for found in report["findings"] if found["level"] == "fail"}
    assert ("database" in failed) is ("DATABASE_URL" in away)
    assert ("redis" in failed) is ("REDIS_URL" in away)
    assert not [found for found in report["findings"] if "could not look" in found["message"]]


@pytest.mark.parametrize(
    ("name", "value"), [("WORKER_THREADS", "abc"), ("DATABASE_URL", "nonsense")]
)
def test_a_setting_that_cannot_be_read_is_named_without_a_traceback(
    tmp_path: Path, name: str, value: str
) -> None:
    ended = run_doctor(tmp_path, **{name: value})
    assert ended.returncode == 2
    assert name in ended.stderr
    assert "Traceback" not in ended.stderr


def run_doctor(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"],
        cwd=settings_.BASE_DIR,
        env={
            "PATH": os.environ["PATH"],
            "VAR_DIR": str(folder),
            "REDIS_URL": settings_.REDIS_URL,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.django_db
def test_the_command_exits_by_the_worst_finding() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)  # no engine runs in this test
    report = json.loads(out.getvalue())
    assert ended.value.code == 2
    assert report["level"] == "fail"
    assert {"check", "level", "message", "cure"} == set(report["findings"][0])
