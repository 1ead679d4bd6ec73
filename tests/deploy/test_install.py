"""deploy/install.sh: what it writes, and that it, the units and the document say the same.

The whole of it was walked on an empty Debian 12 (docs/operations/installation.md).
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from psycopg import conninfo, sql

from tests.support import services

DEPLOY = Path(settings.BASE_DIR) / "deploy"
SCRIPT = (DEPLOY / "install.sh").read_text()
DOCUMENT = (DEPLOY.parent / "docs" / "operations" / "installation.md").read_text()


def step(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    """One function of the script, with its files in `folder` and no users changed."""
    prepared = f"""
        source {DEPLOY / "install.sh"}
        settings={folder}/mockmarket.env
        chown() {{ :; }}
        cd {folder} && ln -sfn {DEPLOY} deploy
        {command}
    """
    return subprocess.run(
        ["bash", "-c", prepared], capture_output=True, text=True, check=False, timeout=60
    )


def written(folder: Path) -> dict[str, str]:
    text = (folder / "mockmarket.env").read_text()
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.M))


def test_the_settings_are_whole_secret_and_for_this_site(tmp_path: Path) -> None:
    result = step(tmp_path, "write_settings market.campus.edu")
    assert result.returncode == 0, result.stderr
    made = written(tmp_path)
    assert all(made.values()), made
    assert made["ALLOWED_HOSTS"] == "market.campus.edu"
    assert made["ALLOWED_ORIGINS"] == "https://market.campus.edu"
    assert len({made["SECRET_KEY"], made["BACKUP_KEY"]}) == 2
    assert len(made["SECRET_KEY"]) >= 50
    Fernet(made["BROKER_TOKEN_KEYS"])
    assert (tmp_path / "mockmarket.env").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / ".env").resolve() == tmp_path / "mockmarket.env"


def test_a_second_run_keeps_them_and_knows_the_site(tmp_path: Path) -> None:
    step(tmp_path, "write_settings market.campus.edu")
    before = written(tmp_path)
    again = step(tmp_path, "write_settings other.campus.edu; setting ALLOWED_HOSTS")
    assert written(tmp_path) == before
    assert again.stdout.strip() == "market.campus.edu"


@pytest.mark.parametrize("site", ["", "https://x.edu", "x.edu/", "x y", "$(id)", "-x"])
def test_what_is_no_name_is_refused_before_anything_is_done(tmp_path: Path, site: str) -> None:
    result = step(
        tmp_path,
        f"id() {{ echo 0; }}; home=$(dirname {DEPLOY}); packages() {{ exit 7; }}; main '{site}'",
    )
    assert result.returncode == 1
    assert "name the site" in result.stderr
    assert not (tmp_path / "mockmarket.env").exists()


def test_nobody_but_root_gets_anywhere(tmp_path: Path) -> None:
    result = step(tmp_path, "id() { echo 1000; }; main trade.example.edu")
    assert result.returncode == 1
    assert "root" in result.stderr


def test_the_document_names_each_step_and_no_other() -> None:
    said = re.findall(r'^    say "([^"]+)"', SCRIPT, re.M)
    told = re.findall(r"^\| ([A-Z][^|`]+|nginx) \| [a-zA-Z`/]", DOCUMENT, re.M)
    assert [title.split(" in $")[0] for title in said] == [title.strip() for title in told]


def test_script_site_and_units_name_the_same_processes() -> None:
    units = {path.name for path in (DEPLOY / "systemd").iterdir()}
    for name in re.findall(r"(mockmarket-[a-z]+)\b(?!/|-)", SCRIPT):
        assert {f"{name}.service", f"{name}@.service"} & units or name == "mockmarket-proxy", name
    (numbers,) = re.findall(r"'mockmarket-web@%s\.service\\n' ([\d ]+)\)", SCRIPT)
    site = (DEPLOY / "nginx" / "mockmarket.conf").read_text()
    ports = re.findall(r"server 127\.0\.0\.1:800(\d)", site)
    target = (DEPLOY / "systemd" / "mockmarket.target").read_text()
    assert numbers.split() == ports == re.findall(r"web@(\d)", target)
    example = (DEPLOY / "mockmarket.env.example").read_text()
    assert set(re.findall(r"setting ([A-Z_]+)", SCRIPT)) <= set(re.findall(r"(\w+)=", example))


def test_the_database_that_is_made_is_the_one_that_the_settings_name(tmp_path: Path) -> None:
    step(tmp_path, "write_settings market.campus.edu")
    assert f'"$(setting DATABASE_URL)" == {written(tmp_path)["DATABASE_URL"]} ' in SCRIPT


@pytest.mark.postgres
def test_the_databases_are_made_once_and_are_the_services(tmp_path: Path) -> None:
    server = services.found_postgres()
    if server is None or shutil.which("createdb") is None:
        pytest.skip("no PostgreSQL with its client programs here")
    name = f"mm_install_{os.getpid()}"
    given = conninfo.conninfo_to_dict(server)
    environment = {
        f"PG{key.upper()}": str(value) for key, value in given.items() if key != "dbname"
    }
    # The script under another name, speaking to this server as its administrator.
    prepared = f"""
        source <(sed 's/mockmarket/{name}/g' {DEPLOY / "install.sh"})
        settings={tmp_path}/env
        echo DATABASE_URL=postgres://{name}@/{name} >$settings
        {name}() {{ echo "$@"; }}
        as_postgres() {{ "$@"; }}
        database && echo again && database
    """
    try:
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", prepared],
            env={"PATH": os.environ["PATH"], "PGDATABASE": "postgres", **environment},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        with psycopg.connect(server) as connection:
            made = connection.execute(
                "SELECT datname, pg_get_userbyid(datdba), pg_encoding_to_char(encoding)"
                " FROM pg_database WHERE datname LIKE %s ORDER BY datname", [f"{name}%"],
            ).fetchall()  # fmt: skip
    finally:
        services.drop_database(server, name)
        services.drop_database(server, f"{name}_proof")
        with psycopg.connect(server) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split("again")[0] == ended.stdout.split("again\n")[1]
    assert made == [(name, name, "UTF8"), (f"{name}_proof", name, "UTF8")]


def test_no_served_name_is_strange_to_nginx() -> None:
    """Debian's mime.types (1.22) has no .mjs; with `nosniff` browsers then refuse the module."""
    from mockmarket.core.staticfiles import PACKAGE_FILES

    own = [path.name for path in (DEPLOY.parent / "static").rglob("*") if path.is_file()]
    known = {".css", ".js", ".svg", ".png", ".ico", ".woff2", ".txt", ".json", ".webmanifest"}
    assert {Path(name).suffix for name in (*PACKAGE_FILES, *own)} <= known
