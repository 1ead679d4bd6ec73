"""The form of units, compose file and image, without starting them."""

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.conf import settings

DEPLOY = Path(settings.BASE_DIR) / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
HARDENING = (
    "NoNewPrivileges", "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices",
    "RestrictSUIDSGID", "MemoryDenyWriteExecute", "SystemCallFilter", "CapabilityBoundingSet",
)  # fmt: skip


def read(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(path.read_text())
    return parser


def test_one_file_hardens_every_unit() -> None:
    """systemd reads a folder named by a prefix up to a dash for every unit that begins so."""
    (folder,) = (path for path in (DEPLOY / "systemd").iterdir() if path.is_dir())
    assert folder.name == "mockmarket-.service.d"
    assert all(path.name.startswith("mockmarket-") for path in UNITS)
    (settings,) = folder.glob("*.conf")
    service = read(settings)["Service"]
    assert all(name in service for name in HARDENING)
    assert service["ProtectSystem"] == "strict"


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_each_unit_runs_as_the_services_user(path: Path) -> None:
    service = read(path)["Service"]
    assert service["User"] == "mockmarket"
    command = service["ExecStart"]
    assert "manage.py" in command or "celery" in command


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_each_command_of_a_unit_exists(path: Path) -> None:
    from django.core.management import get_commands

    if match := re.search(r"manage\.py (\w+)", read(path)["Service"]["ExecStart"]):
        assert match[1] in get_commands()


def exposure(unit: Path) -> "subprocess.CompletedProcess[str]":
    """What systemd makes of a unit and of the drop-ins beside it."""
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd-analyze here")
    result = subprocess.run(
        [program, "security", "--offline=true", "--threshold=30", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    if "Unknown" in result.stderr or "unrecognized" in result.stderr:
        pytest.skip("this systemd cannot look at files")
    return result


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_systemd_finds_little_exposure(path: Path) -> None:
    result = exposure(path)
    assert result.returncode == 0, result.stdout[-300:] + result.stderr


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_control_without_the_drop_in_it_is_exposed(path: Path, tmp_path: Path) -> None:
    assert exposure(Path(shutil.copy(path, tmp_path))).returncode == 1


def test_the_target_wants_every_process() -> None:
    wanted = " ".join(
        re.findall(r"^Wants=(.*)$", (DEPLOY / "systemd" / "mockmarket.target").read_text(), re.M)
    )
    for name in ("web@1", "web@2", "engine", "worker", "beat"):
        assert f"mockmarket-{name}.service" in wanted
    assert "mockmarket-backup.timer" in wanted
    assert "mockmarket-proof.timer" in wanted


def test_the_compose_file_has_the_form_that_compose_expects() -> None:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = document["services"]
    # Debian 12's docker-compose (1.29) refuses any other key at the top, `name` as well.
    assert {key for key in document if not key.startswith("x-")} == {"services", "volumes"}
    assert {"postgres", "redis", "web", "engine", "worker", "beat"} <= set(services)
    assert services["web"]["deploy"]["replicas"] == 2
    for name, service in services.items():
        assert "image" in service, name
        assert set(service.get("depends_on", {})) <= set(services), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), volume
            else:
                assert source in document["volumes"], volume
    own = [service for service in services.values() if service["image"] == "mockmarket"]
    assert all(service["cap_drop"] == ["ALL"] and service["read_only"] for service in own)
    assert "POSTGRES_PASSWORD:-" not in (DEPLOY / "compose.yaml").read_text()  # no default secret


def test_the_settings_that_deployment_names_exist() -> None:
    known = set(
        re.findall(
            r'env\.\w+\(\s*"(\w+)"', (DEPLOY.parent / "mockmarket" / "settings.py").read_text()
        )
    )
    named = set(re.findall(r"^([A-Z_]+)=", (DEPLOY / "mockmarket.env.example").read_text(), re.M))
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    named |= set(document["services"]["web"]["environment"])
    assert named <= known


def test_the_image_copies_what_exists_and_drops_root() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.M):
        assert (DEPLOY.parent / source).exists(), source
    assert text.rindex("USER mockmarket") < text.rindex("CMD")


LOOK = """
from django.conf import settings
from django.template.loader import get_template
from django.utils import translation
from marketdata import services
translation.activate("hi")
print(translation.gettext("Portfolio"), get_template("shell.html") is not None)
services.seed_universe()
"""


def test_what_the_image_copies_is_enough_to_run(tmp_path: Path) -> None:
    """Its tree, without Docker: the database is made, the market listed, Hindi spoken."""
    root = tmp_path / "opt"
    root.mkdir()
    text = (DEPLOY / "Dockerfile").read_text()
    for source, target in re.findall(r"^COPY (?!--from)(\S+) (\S+)$", text, re.M):
        path = DEPLOY.parent / source
        if path.is_dir():
            shutil.copytree(path, root / target, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(DEPLOY.parent / "manage.py", root)
    (root / "node_modules").symlink_to(DEPLOY.parent / "node_modules")
    environment = {"PATH": "/usr/bin:/bin", "VAR_DIR": str(tmp_path / "var")}

    def manage(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=root, env=environment, check=True, capture_output=True, text=True, timeout=200,
        ).stdout  # fmt: skip

    manage("migrate", "-v", "0")
    assert manage("shell", "-v", "0", "-c", LOOK).strip() == "पोर्टफ़ोलियो True"
