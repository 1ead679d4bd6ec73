"""Idioms that the project forbids, found by text. `python -m tests.support.house_rules`."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Lines matching `pattern` are refused in files matching `files`, unless one of `allowed`."""

    pattern: str
    files: str
    reason: str
    allowed: tuple[str, ...] = ()


PRODUCT = r"^(mockmarket|marketdata|portfolios|trading)/.*\.py$"
RULES = (
    Rule(
        pattern=r"\.(innerHTML|outerHTML)\b|insertAdjacentHTML|document\.write|\beval\(",
        files=r"^static/js/.*\.js$",
        reason="markup from text is an injection; build elements, set textContent",
    ),
    Rule(
        pattern=r"\|\s*safe\b|\{% autoescape off",
        files=r"^templates/.*\.html$",
        reason="templates escape everything",
    ),
    Rule(
        pattern=r"<script(?![^>]*(src=|nonce=|type=\"application/json\"))|\son[a-z]+=\"|\sstyle=\"",
        files=r"^templates/.*\.html$",
        reason="the content security policy refuses inline script and style",
    ),
    Rule(
        pattern=r"\bdatetime\.(now|utcnow|today)\(|\btimezone\.now\(|\btime\.time(_ns)?\(",
        files=PRODUCT,
        reason="core.clock is the only reader of the system clock",
        allowed=("mockmarket/core/clock.py",),
    ),
    Rule(
        pattern=r"@receiver\(|\b(post|pre)_(save|delete)\.connect|\bm2m_changed\b",
        files=PRODUCT,
        reason="explicit calls, never domain signals",
    ),
    Rule(
        pattern=r"\b(TODO|FIXME|XXX)\b|NotImplementedError",
        files=r"^(mockmarket|marketdata|portfolios|trading|static/js|templates|scripts)/",
        reason="finish it or leave it out",
    ),
    Rule(
        pattern=r"#\s*type:\s*ignore(?!\[)|#\s*noqa(?!:)",
        files=r"\.py$",
        reason="name the rule that is set aside",
    ),
    Rule(
        pattern=r"https?://(cdn|unpkg|fonts\.g)|cdnjs|jsdelivr",
        files=r"^(templates|static)/",
        reason="everything is served locally",
    ),
)


def violations(files: dict[str, str]) -> list[str]:
    """`path:line: reason` for each forbidden line of `files` (path to text)."""
    found = []
    for path, text in files.items():
        rules = [
            (re.compile(rule.pattern), rule)
            for rule in RULES
            if re.search(rule.files, path) and path not in rule.allowed
        ]
        for number, line in enumerate(text.splitlines(), start=1):
            found += [
                f"{path}:{number}: {rule.reason}" for pattern, rule in rules if pattern.search(line)
            ]
    return found


def tracked_files() -> dict[str, str]:
    """Every text file that git tracks and a rule may look at."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.js", "*.html", "*.sh", "*.css"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {path: (ROOT / path).read_text() for path in listed if (ROOT / path).exists()}


if __name__ == "__main__":
    lines = [line for line in violations(tracked_files()) if "house_rules.py" not in line]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(bool(lines))
