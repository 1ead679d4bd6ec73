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
