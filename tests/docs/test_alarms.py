"""Every alarm that the product can raise stands in the operators' list, with its cure."""

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

ROOT = Path(settings.BASE_DIR)
PAGE = (ROOT / "docs" / "operations" / "alarms.md").read_text()


def raised() -> Iterator[tuple[str, str]]:
    """Module and name of each alarm; of a composed name its fixed beginning."""
    for app in ("mockmarket", "marketdata", "portfolios", "trading"):
        for path in sorted((ROOT / app).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            source = path.read_text()
            if "raise_alarm" not in source:
                continue
            for call in ast.walk(ast.parse(source)):
                if not isinstance(call, ast.Call) or "raise_alarm" not in ast.dump(call):
                    continue
                for keyword in call.keywords:
                    if keyword.arg == "name":
                        yield module, _text(keyword.value, module)


def _text(node: ast.expr, module: str) -> str:
    if isinstance(node, ast.JoinedStr):
        node = node.values[0]
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.Name), ast.dump(node)
    return str(getattr(importlib.import_module(module), node.id))


def test_every_alarm_has_its_cure() -> None:
    found = set(raised())
    assert len(found) >= 4
    assert [(module, name) for module, name in found if f"`{name}" not in PAGE] == []


def named(path: str, call: str, argument: str) -> set[str]:
    """The literal first or `argument` value of each call of `call` in a module."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if not isinstance(node, ast.Call) or getattr(node.func, "id", "") != call:
            continue
        values = [keyword.value for keyword in node.keywords if keyword.arg == argument]
        for value in values or node.args[:1]:
            inner = value.args[0] if isinstance(value, ast.Call) else value
            if isinstance(inner, ast.Constant):
                found.add(str(inner.value))
    return found


def index(first_cell: str) -> set[str]:
    """The first cells of the table that begins so, each name of a cell by itself."""
    table = PAGE.split(f"| {first_cell} |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [row.split("|")[1].strip(" `") for row in table]
    return {name.strip(" `") for cell in cells for name in cell.split(", ")}


def test_every_check_of_doctor_is_in_the_index() -> None:
    checks = named("mockmarket/core/doctor.py", "Finding", "check")
    checks |= named("marketdata/diagnosis.py", "Finding", "check")
    assert index("`doctor` names") == checks


def test_every_line_of_operations_with_a_remedy_is_in_the_index() -> None:
    source = ast.parse((ROOT / "trading" / "operations.py").read_text())
    lines = [
        call for call in ast.walk(source)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Line"
        and len(call.args) == 4
    ]  # fmt: skip
    names = set()
    for call in lines:
        name = call.args[0].left if isinstance(call.args[0], ast.BinOp) else call.args[0]
        if isinstance(name, ast.Call) and getattr(name.func, "id", "") == "_":
            names.add(str(getattr(name.args[0], "value", "")))
    assert len(names) >= 9
    shown = index("a line of *Operations*")
    assert [n for n in names if n.replace("%(minutes)d", "30") not in shown] == []
