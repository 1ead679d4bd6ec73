"""Every command and code block of the README and the documentation is true."""

import ast
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands

ROOT = Path(settings.BASE_DIR)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Run as a whole by the journeys, by CI, or by this very run of the tests.
RUN_ELSEWHERE = {"make run", "make test", "make setup", "make lint types test"}


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
        for name in re.findall(r"manage\.py ([a-z_]+)", command):
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


@pytest.mark.parametrize("block", of("python"), ids=str)
def test_python_compiles(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", of("json"), ids=str)
def test_json_parses(block: Block) -> None:
    json.loads(block.text)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A migrated and seeded installation of its own, as environment."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": os.environ.get("HOME", "/"),
        "VAR_DIR": str(tmp_path_factory.mktemp("var")),
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PREFIX": "docs",
    }
    for command in ("migrate -v 0", "seed_demo"):
        subprocess.run(
            [sys.executable, "manage.py", *command.split()], cwd=ROOT, env=environment, check=True
        )
    return environment


@pytest.mark.timeout(600)
def test_shell_blocks_run(installation: dict[str, str]) -> None:
    """All of them in one installation: migrating one for each would take minutes."""
    ran = []
    for block in of("sh"):
        for command in commands(block):
            if command in RUN_ELSEWHERE or not command.startswith((".venv/bin/python", "python")):
                continue
            words = [sys.executable, *shlex.split(command)[1:]]
            result = subprocess.run(
                words, cwd=ROOT, env=installation, capture_output=True, text=True, check=False,
                timeout=300,
            )  # fmt: skip
            assert result.returncode == 0, f"{block}: {command}\n{result.stderr[-800:]}"
            ran.append(command)
    assert ran
