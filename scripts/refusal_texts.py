"""Write mockmarket/core/refusal_texts.py: every refusal of the services, for the translators.

Services refuse in English, with values put in; pages translate at the rim (core/refusals.py) by
these texts. `python scripts/refusal_texts.py`, then makemessages; scripts/translate.sh does both.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
APPS = ("mockmarket/core", "marketdata", "portfolios", "trading")
# Spoken to programs or to staff only.
LEFT_OUT = {"api", "management", "migrations", "exchange", "upstox", "stream", "servers", "options"}
LEFT_OUT |= {
    f"{name}.py"
    for name in (
        "backups", "restoring", "roster", "loading", "broker", "outbound", "webhooks",
        "instruments", "upkeep", "fetching", "safe_fetch", "admin_base", "admin", "admin_broker",
        "tickets", "demo", "doctor", "supervisor", "performance", "staff", "settlement_prices",
    )
}  # fmt: skip
# Words that stand where a value is put in, the names of states, what is announced by itself.
WORDS = (
    "price", "trigger price", "above", "below", "lower", "upper", "draft", "open", "running",
    "frozen", "finished", "cancelled", "filled", "rejected", "expired", "Watching the price",
    "Waits for its entry", "Triggered", "Refused when it fired", "Not filled",
    "Draft", "Open to join", "Running", "Frozen", "Finished", "Archived",
    "Opening balance", "Fill", "Staff adjustment", "Dividend", "Corporate action", "Charge",
    "Settlement", "Reversal", "{0} is frozen", "{0} goes on", "{0} has ended",
    "stream", "rest", "cache", "database",
)  # fmt: skip
TARGET = ROOT / "mockmarket" / "core" / "refusal_texts.py"

# What reaches people as the reason of a change, where these are called.
REASONS = {"reason", "status_reason"}


def modules() -> Iterator[ast.Module]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if not LEFT_OUT & set(path.relative_to(ROOT).parts) and path != TARGET:
                yield ast.parse(path.read_text())


def refusals(trees: list[ast.Module]) -> set[str]:
    """The names of DomainError and of what derives from it."""
    bases = {
        node.name: {ast.unparse(base).rsplit(".", 1)[-1] for base in node.bases}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    known = {"DomainError"}
    while more := {name for name, above in bases.items() if above & known} - known:
        known |= more
    return known


def text(node: ast.expr | None) -> list[str]:
    """The texts that an expression may become, with {0}, {1} for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value.replace("{", "{{").replace("}", "}}")]
    if isinstance(node, ast.IfExp):
        return text(node.body) + text(node.orelse)
    if isinstance(node, ast.JoinedStr):
        parts, number = "", 0
        for part in node.values:
            if isinstance(part, ast.Constant):
                parts += str(part.value)
            else:
                parts += f"{{{number}}}"
                number += 1
        return [parts]
    return []


def texts(tree: ast.Module, names: set[str]) -> Iterator[str]:
    for function in ast.walk(tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        kept: dict[str, list[str]] = {}
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                kept.setdefault(node.targets[0].id, []).extend(text(node.value))
        for node in ast.walk(function):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).rsplit(".", 1)[-1]
                given = [node.args[0]] if called in names and node.args else []
                given += [word.value for word in node.keywords if word.arg in REASONS]
                for one in given:
                    yield from kept.get(one.id, []) if isinstance(one, ast.Name) else text(one)


def main() -> None:
    trees = list(modules())
    names = refusals(trees)
    found = {one for tree in trees for one in texts(tree, names) if any(c.isalpha() for c in one)}
    kept = sorted({one for one in found if " " in one} | set(WORDS))
    lines = "".join(f"    _({quoted(one)}),\n" for one in kept)
    TARGET.write_text(
        '"""Every refusal of the services. Written by scripts/refusal_texts.py."""\n\n'
        "# ruff: noqa: E501\n"
        "from django.utils.translation import gettext_noop as _\n\n"
        f"TEXTS = (\n{lines})\n"
    )


def quoted(one: str) -> str:
    escaped = one.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


if __name__ == "__main__":
    main()
