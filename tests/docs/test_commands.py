"""Every command and code block of the README and the documentation is true."""

import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from textwrap import dedent
from types import SimpleNamespace

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.template import engines

ROOT = Path(settings.BASE_DIR)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# --- What is not run here, and why -----------------------------------------------------------
# Commands of shell blocks that another run covers, or that would change the machine.
ELSEWHERE = {
    "make run": "the journeys start the product by the same command",
    "make test": "is what runs this test",
    "make setup": "make test has run it",
    "make lint types test": "continuous integration runs each of them",
    "make screenshots PICTURES=--readme": "ten minutes against a running product, by hand",
}
# Of a root's session on a campus server: how the command begins.
NOT_HERE = {
    "apt-get ": "installs packages of the machine",
    "git ": "fetches another version",
    "cd ": "changes nothing",
    "deploy/install.sh": "installs on the machine; tests/deploy/test_install.py runs its steps",
    "/opt/mockmarket/deploy/install.sh ": "the same",
    "certbot ": "asks Let's Encrypt",
    "ln -sf ": "writes to /etc",
    "systemctl ": "there is no systemd where tests run; tests/deploy reads the units",
    "mockmarket createsuperuser": "asks a person",
    "mockmarket restore ": "tests/core/test_backups.py restores, on both databases",
    "*/15 * * * * ": "is a line of cron",
    "0 3 * * 0 ": "the same",
}
# Programs of pages, and the test that runs them against the product.
PROGRAMS = {
    "docs/api/index.md": "tests/contracts/test_client.py",
    "docs/api/guide.md": "tests/contracts/test_client.py",
    "docs/api/stream.md": "tests/marketdata/stream/test_asyncapi.py",
}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page, first line's number, language and text."""

    page: str
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks() -> list[Block]:
    found = []
    for path in PAGES:
        text = path.read_text()
        page = str(path.relative_to(ROOT))
        found += [
            Block(page, text[: match.start()].count("\n") + 1, match[2], match[3])
            for match in re.finditer(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", text, re.M | re.S)
        ]
    return found


BLOCKS = blocks()


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


def commands(block: Block) -> list[str]:
    """Its lines without prompt and comment."""
    lines = [re.sub(r"^\s*[#$] ", "", line) for line in block.text.splitlines()]
    return [re.sub(r"\s+# .*$", "", line).strip() for line in lines if line.strip()]


def test_every_block_says_what_it_is() -> None:
    assert [str(block) for block in BLOCKS if not block.language] == []


@pytest.mark.parametrize("block", of("sh", "console"), ids=str)
def test_what_a_command_names_exists(block: Block) -> None:
    targets = set(re.findall(r"^([a-z0-9]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    known = set(get_commands())
    for command in commands(block):
        if match := re.match(r"make ([a-z0-9 ]+?)(?: [A-Z]+=\S*)*$", command):
            assert set(match[1].split()) <= targets, command
        for name in re.findall(r"(?:manage\.py|^mockmarket) ([a-z_]+)", command):
            assert name in known, command
        for path in re.findall(r"(?<![\w/.])((?:deploy|requirements|scripts)/[\w./@-]+)", command):
            assert (ROOT / path.rstrip("*")).exists(), command
        for module in re.findall(r"-m (benchmarks\.\w+)", command):
            assert (ROOT / (module.replace(".", "/") + ".py")).exists(), command


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_are_named_exist(document: Path) -> None:
    """`folder/name.py` and `folder/name/` of our own, in prose or in a drawing."""
    tops = "|".join(path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != ".")
    named = re.findall(rf"(?<![\w/.-])((?:{tops})/[\w/.-]*[\w/])", document.read_text())
    made = ("var/", "site/", "deploy/.env")  # by the product, or by who installs it
    assert [n for n in named if not n.startswith(made) and not (ROOT / n).exists()] == []


@pytest.mark.parametrize("document", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_in_prose_exist_with_their_options(document: Path) -> None:
    prose = re.findall(r"`([^`\n]+)`", document.read_text())
    targets = set(re.findall(r"^([a-z0-9]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    for text in prose:
        if match := re.match(r"make ([a-z]+)\b", text):
            assert match[1] in targets, text
        if match := re.match(r"(?:python )?manage\.py ([a-z_]+)", text):
            app = get_commands()[match[1]]
            command = load_command_class(app, match[1]) if isinstance(app, str) else app
            known = command.create_parser("manage.py", match[1])._option_string_actions
            assert set(re.findall(r"(?<!\S)--[a-z-]+", text)) <= set(known), text


@pytest.mark.parametrize("block", of("python", "bash"), ids=str)
def test_programs_are_run_by_a_test(block: Block) -> None:
    test = PROGRAMS[block.page]
    assert Path(block.page).name in (ROOT / test).read_text(), test


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_parses(block: Block) -> None:
    assert yaml.safe_load(block.text)


@pytest.mark.parametrize("block", of("html"), ids=str)
def test_a_template_renders(block: Block) -> None:
    row = {"instrument_key": "NSE_EQ|ACME", "quote": SimpleNamespace(last_price=Decimal("101.5"))}
    template = engines["django"].from_string(dedent(block.text))
    shown = template.render({"layout": "partial.html", "row": row})
    assert 'data-instrument="NSE_EQ|ACME"' in shown
    assert "101.50" in shown


def test_no_block_is_of_another_kind() -> None:
    """`text` is for drawings and for what a program prints: nothing in it can be run."""
    run = {"sh", "console", "bash", "python", "json", "yaml", "html"}
    assert {block.language for block in BLOCKS} <= run | {"text"}
    for block in of("text"):
        assert not re.search(r"manage\.py|curl |pip |import ", block.text), str(block)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A migrated and seeded installation of its own, as environment."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "VAR_DIR": str(tmp_path_factory.mktemp("var")),
        "STATIC_ROOT": str(tmp_path_factory.mktemp("static")),
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PREFIX": "docs",
    }
    for command in ("migrate -v 0", "seed_demo"):
        subprocess.run(
            [sys.executable, "manage.py", *command.split()], cwd=ROOT, env=environment, check=True
        )
    return environment


def here(command: str) -> bool:
    """Whether a command is run by this test; fails for one that nobody answers for."""
    if command in ELSEWHERE or any(command.startswith(known) for known in NOT_HERE):
        return False
    known = (".venv/bin/python ", "python ", "mockmarket ")
    assert command.startswith(known), f"neither run nor listed: {command}"
    return True


def test_every_exception_is_needed() -> None:
    said = [command for block in of("sh", "console") for command in commands(block)]
    assert [known for known in ELSEWHERE if known not in said] == []
    assert [known for known in NOT_HERE if not any(one.startswith(known) for one in said)] == []
    assert [page for page in PROGRAMS if page not in {b.page for b in of("python", "bash")}] == []


@pytest.mark.timeout(600)
def test_shell_blocks_run(installation: dict[str, str]) -> None:
    """All of them in one installation: migrating one for each would take minutes."""
    ran = set()
    for block in of("sh", "console"):
        for command in commands(block):
            if command in ran or not here(command):
                continue
            program, *arguments = shlex.split(command)
            # deploy/mockmarket is manage.py as the service's user.
            manage = ["manage.py"] if program == "mockmarket" else []
            words = [sys.executable, *manage, *arguments]
            result = subprocess.run(
                words, cwd=ROOT, env=installation, capture_output=True, text=True, check=False,
                timeout=300,
            )  # fmt: skip
            # No engine runs here, which is what doctor is to find.
            expected = 2 if "doctor" in words else 0
            assert result.returncode == expected, f"{block}: {command}\n{result.stderr[-800:]}"
            ran.add(command)
    assert len(ran) >= 3
