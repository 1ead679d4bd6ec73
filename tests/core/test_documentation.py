"""Links from the product into the documentation lead somewhere; its pages run nothing foreign."""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import pytest
from django.conf import settings

from mockmarket.core import documentation

ROOT = Path(settings.BASE_DIR)
DOCS = ROOT / "docs"
LINK = re.compile(r'href="\{\{ (?:desk\.)?docs \}\}([^"]*)"')


def links() -> set[str]:
    """Every address below /docs/ that a template links to."""
    found: set[str] = set()
    for file in (ROOT / "templates").rglob("*.html"):
        for link in LINK.findall(file.read_text()):
            if "{%" in link:  # one place for staff, another for students
                found |= set(re.findall(r"%\}([\w/]+)\{%", link))
            else:
                found.add(link)
    return found


def anchors(text: str) -> set[str]:
    """The names of a page's headings, given or made from their words."""
    given = set(re.findall(r"^#+ .*\{ #([\w-]+) \}", text, re.MULTILINE))
    words = re.findall(r"^#+ ([^{\n]+)$", text, re.MULTILINE)
    return given | {re.sub(r"[^\w]+", "-", word.lower()).strip("-") for word in words}


def test_there_are_links_from_where_one_asks() -> None:
    assert links() >= {
        "students/", "staff/", "students/orders/#types", "students/fills/#rules",
        "students/charges/", "operations/alarms/#index",
    }  # fmt: skip


@pytest.mark.parametrize("link", sorted(links()))
def test_a_link_leads_to_a_page_and_an_anchor(link: str) -> None:
    path, _, anchor = link.partition("#")
    page = DOCS / f"{path.strip('/')}.md"
    page = page if page.exists() else DOCS / path / "index.md"
    assert page.exists()
    assert not anchor or anchor in anchors(page.read_text())


def test_a_page_runs_its_own_scripts_and_no_other(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text("<p>a</p><script>one()</script><script src='x.js'></script>")
    headers: dict[str, str] = {}
    documentation.add_headers(headers, str(page), "/docs/index.html")
    policy = headers["Content-Security-Policy"]
    mine = b64encode(sha256(b"one()").digest()).decode()
    scripts = re.search(r"script-src ([^;]*)", policy)
    assert scripts
    assert scripts[1].split() == ["'self'", f"'sha256-{mine}'"]
    assert "frame-ancestors 'none'" in policy


def test_other_files_get_no_policy_from_here(tmp_path: Path) -> None:
    headers: dict[str, str] = {}
    documentation.add_headers(headers, str(tmp_path / "app.js"), "/static/app.js")
    documentation.add_headers(headers, str(tmp_path / "site.css"), "/docs/stylesheets/site.css")
    assert headers == {}
