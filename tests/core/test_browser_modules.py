"""The browser's modules without a browser, and the map that the walks of the journeys follow."""

import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from tests.support import site_map

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node.js")
def test_the_modules_tests_pass() -> None:
    files = sorted(str(path) for path in (ROOT / "tests" / "js").glob("*.test.mjs"))
    assert files
    done = subprocess.run(["node", "--test", *files], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_map_knows_every_page() -> None:
    """A new page joins the walks (live, accessible, no wider than a phone), or says why not."""
    named = {
        pattern.name
        for module in ("mockmarket.core", "marketdata", "portfolios", "trading")
        for pattern in import_module(f"{module}.urls").urlpatterns
    }
    assert named == ({*site_map.LIVE, *site_map.QUIET} - {""}) | site_map.NO_PAGES


def test_no_module_writes_markup_or_runs_text() -> None:
    """Data reaches the page as text nodes and attributes; htmx alone swaps the server's HTML."""
    forbidden = ("innerHTML =", "outerHTML =", "insertAdjacentHTML", "eval(", "new Function")
    for path in sorted((ROOT / "static" / "js").glob("*.js")):
        text = path.read_text()
        assert not [word for word in forbidden if word in text], path.name
