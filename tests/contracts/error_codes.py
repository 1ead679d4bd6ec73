"""The codes of every DomainError in the code, found by importing all of it.

`python -m tests.contracts.error_codes > docs/api/errors.md` writes the guide's list.
"""

import importlib
import inspect
import os
import pkgutil
import re
import sys

import django

from mockmarket.core.api.errors import INTERFACE_CODES
from mockmarket.core.errors import DomainError

PACKAGES = ("mockmarket", "marketdata", "portfolios", "trading")
SKIPPED = (".migrations", ".management", "mockmarket.asgi", ".servers")


def interface_codes() -> dict[str, str]:
    """Codes that come before any rule is asked."""
    return dict(INTERFACE_CODES)


def domain_codes() -> dict[str, tuple[int, str]]:
    """Status and first sentence by code; of classes that share a code, the first by name."""
    for name in PACKAGES:
        package = importlib.import_module(name)
        for module in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not any(part in module.name for part in SKIPPED):
                importlib.import_module(module.name)
    found: dict[str, tuple[int, str]] = {}
    for kind in sorted(_subclasses(DomainError), key=lambda one: (one.__module__, one.__name__)):
        if kind.__module__.startswith("tests"):
            continue
        own = kind.__doc__ if "__doc__" in vars(kind) and kind.__doc__ else ""
        words = inspect.cleandoc(own).split("\n\n")[0].replace("\n", " ")
        words = words or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.__name__).capitalize() + "."
        known = found.get(kind.code)
        if known is None:
            found[kind.code] = (kind.status, words)
    return {code: row for code, row in found.items() if code not in INTERFACE_CODES}


def _subclasses(kind: type[DomainError]) -> set[type[DomainError]]:
    direct = set(kind.__subclasses__())
    return direct.union(*(_subclasses(one) for one in direct))


def document() -> str:
    """The guide's page."""
    lines = [
        "# Error codes",
        "",
        "Each refusal carries one of these in `error.code`; the status is that of the REST API.",
        "",
        "## Of the interface",
        "",
        "| code | meaning |",
        "|---|---|",
        *(f"| `{code}` | {words} |" for code, words in sorted(interface_codes().items())),
        "",
        "## Of the rules",
        "",
        "| code | status | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {row[0]} | {row[1]} |" for code, row in sorted(domain_codes().items())),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")
    django.setup()
    sys.stdout.write(document())
