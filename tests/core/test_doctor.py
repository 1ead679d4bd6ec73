"""The doctor: each finding names a cure, and the exit code tells a monitor how bad it is."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command

from mockmarket.core import doctor
from mockmarket.core.doctor import Finding, Level

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
    def check_broken(at: datetime):
        raise RuntimeError("boom")

    found = doctor.examine(at=AT, more=[check_broken])
    assert found[-1].check == "check_broken"
    assert "boom" in found[-1].message
    assert len(found) > 5


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
    ("age", "level"), [(timedelta(minutes=5), Level.OK), (timedelta(hours=2), Level.WARN)]
)
def test_the_age_of_the_newest_backup(settings, tmp_path: Path, age, level) -> None:
    settings.BACKUP_DIR = tmp_path
    (tmp_path / f"mockmarket-{AT - age:%Y%m%dT%H%M%SZ}.tar").touch()
    (finding,) = doctor.check_backups(AT)
    assert finding.level is level


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


@pytest.mark.django_db
def test_the_command_exits_by_the_worst_finding() -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("doctor", "--json", stdout=out)  # no engine runs in this test
    report = json.loads(out.getvalue())
    assert ended.value.code == 2
    assert report["level"] == "fail"
    assert {"check", "level", "message", "cure"} == set(report["findings"][0])
