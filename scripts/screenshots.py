"""Write screenshots of every page, in both themes and two widths, to screenshots/; ten in Hindi.

`python scripts/screenshots.py [URL]` against a running demonstration (`make run`); the password
is read from var/demo_password or DEMO_PASSWORD. A student without a position trades first, so
that no page is empty. `--readme` also renews the pictures in docs/images.
"""

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, StorageState, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import site_map  # noqa: E402

FOLDER = ROOT / "screenshots"
USER = "student01"
SIZES: dict[str, ViewportSize] = {
    "laptop": {"width": 1366, "height": 768},
    "phone": {"width": 360, "height": 740},
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SETTLE_MS = 1200
SECONDS = 60_000
LANGUAGE_COOKIE = "django_language"
# The modules have started; bare pages have none.
READY = "html[data-ready] body, body:not([hx-boost])"
# What the student buys, and whether the whole day or only with a limit that waits.
TRADES = (("RELIANCE", 40, 0), ("TCS", 25, 0), ("SBIN", 100, 0), ("INFY", 60, 0), ("ITC", 200, 97))
# What a reader in Hindi sees most.
HINDI = (
    "/", "/market/", "/movers/", "/sectors/", "/stocks/RELIANCE/", "/portfolio/",
    "/orders/?show=all", "/funds/", "/contests/", "/learn/",
)  # fmt: skip
# Pictures of the documentation: page, size, theme, and whether the ticket stands open.
README = {
    "dashboard-dark": ("/", "laptop", "dark", False),
    "share-dark": ("/stocks/RELIANCE/", "laptop", "dark", False),
    "ticket": ("/stocks/RELIANCE/", "laptop", "light", True),
    "sectors-light": ("/sectors/", "laptop", "light", False),
    "portfolio-phone": ("/portfolio/", "phone", "light", False),
}


def password() -> str:
    """The demonstration's password."""
    known = os.environ.get("DEMO_PASSWORD")
    folder = Path(os.environ.get("VAR_DIR", ROOT / "var"))
    return known or (folder / "demo_password").read_text().strip()


def log_in(browser: Browser, url: str) -> StorageState:
    """The cookies of a student who holds something, and a picture of the login page."""
    context = browser.new_context(viewport=SIZES["laptop"])
    page = context.new_page()
    page.goto(f"{url}/login/")
    page.screenshot(path=FOLDER / "login.png")
    page.fill("#id_username", USER)
    page.fill("#id_password", password())
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/")
    page.goto(f"{url}/portfolio/")
    if not page.locator("[data-position]").count():
        for symbol, quantity, percent in TRADES:
            trade(page, url, symbol, quantity, percent)
    state = context.storage_state()
    context.close()
    return state


def open_ticket(page: Page) -> float:
    """The price that the ticket shows."""
    page.locator(".stock-actions [data-side=BUY]").click()
    page.wait_for_selector("#t-quantity")
    return float(page.locator("form[data-ticket]").get_attribute("data-last-price") or 0)


def trade(page: Page, url: str, symbol: str, quantity: int, percent: int) -> None:
    """Buy at the market, or with a limit at so many percent of the price."""
    page.goto(f"{url}/stocks/{symbol}/", timeout=SECONDS)
    page.wait_for_selector(READY, timeout=SECONDS)
    price = open_ticket(page)
    page.fill("#t-quantity", str(quantity))
    if percent:
        page.locator("#ticket").get_by_text("Limit", exact=True).click()
        page.fill("#t-price", f"{int(price * percent / 100)}.00")
    page.locator("#ticket [data-submit]").click()
    page.wait_for_selector("#ticket .order-state")


def name_of(path: str) -> str:
    return re.sub(r"[^\w]+", "-", path).strip("-") or "dashboard"


def picture(page: Page, url: str, path: str, file: Path, *, ticket: bool = False) -> None:
    """One page once it has settled."""
    page.goto(url + path, timeout=SECONDS)
    page.wait_for_selector(READY, timeout=SECONDS)
    if ticket:
        open_ticket(page)
        page.fill("#t-quantity", "25")
    page.wait_for_timeout(SETTLE_MS)
    # Playwright hides the caret with an inline style, which the page's policy forbids.
    page.screenshot(path=file, caret="initial")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--size", choices=SIZES, help="only this width")
    parser.add_argument("--readme", action="store_true", help="renew docs/images too")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    pages = [*site_map.paths(site_map.LIVE), *site_map.paths(site_map.QUIET)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        state = log_in(browser, options.url)
        for size, viewport in SIZES.items():
            if options.size not in {None, size}:
                continue
            for theme in THEMES:
                context = browser.new_context(
                    viewport=viewport, color_scheme=theme, storage_state=state
                )
                page = context.new_page()
                for name, (path, *form, ticket) in README.items() if options.readme else ():
                    if form == [size, theme]:
                        file = ROOT / "docs" / "images" / f"{name}.png"
                        picture(page, options.url, path, file, ticket=ticket)
                for path in pages:
                    file = FOLDER / f"{name_of(path)}-{size}-{theme}.png"
                    picture(page, options.url, path, file)
                if theme == "light":
                    host = {"domain": urlsplit(options.url).hostname or "", "path": "/"}
                    context.add_cookies([{"name": LANGUAGE_COOKIE, "value": "hi", **host}])
                    for path in HINDI:
                        picture(page, options.url, path, FOLDER / f"{name_of(path)}-{size}-hi.png")
                context.close()
        browser.close()
    sys.stdout.write(f"{len(list(FOLDER.glob('*.png')))} pictures in {FOLDER}\n")


if __name__ == "__main__":
    main()
