"""Pictures of the running product: every page to screenshots/, or those of the documentation.

`python scripts/screenshots.py [URL]` against a running demonstration (`make run`): every page, in
both themes and two widths, ten in Hindi. `--readme` renews docs/images instead
(scripts/pictures.py lists them). The password is read from VAR_DIR/demo_password or DEMO_PASSWORD.
A class is put to work first (scripts/classroom.py), so that no page is empty, and a page is taken
when its prices are live: without an open market there is no picture.
"""

import argparse
import os
import re
import sys
from io import BytesIO
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from PIL import Image
from playwright.sync_api import Browser, Page, StorageState, ViewportSize, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts import classroom, pictures  # noqa: E402
from scripts.classroom import SLUG, STAFF, STUDENT  # noqa: E402
from tests.support import site_map  # noqa: E402

FOLDER = ROOT / "screenshots"
SIZES: dict[str, ViewportSize] = {
    "laptop": {"width": 1366, "height": 768},
    "phone": {"width": 360, "height": 740},
    "tall": {"width": 1366, "height": 940},
}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
SETTLE_MS = 1500
SECONDS = 60_000
LANGUAGE_COOKIE = "django_language"
# The modules have started; bare pages have none.
READY = "html[data-ready] body, body:not([hx-boost])"
# In a desk: the feed is live, and no price in sight is missing. Elsewhere nothing is waited for.
SETTLED = """() => {
  const light = document.querySelector("#light");
  if (!light) return document.fonts.status === "loaded";
  const inSight = (one) => one.offsetParent && one.getBoundingClientRect().top < innerHeight;
  const prices = [...document.querySelectorAll("main [data-field=last_price]")].filter(inSight);
  return light.dataset.state === "live" && document.fonts.status === "loaded"
    && !document.querySelector(".htmx-request")
    && ![...document.querySelectorAll(".chart-state")].filter(inSight).some(
      (one) => one.textContent.endsWith("…"))
    && prices.every((one) => /[0-9]/.test(one.textContent));
}"""
# What a reader in Hindi sees most.
HINDI = (
    "/", "/market/", "/movers/", "/sectors/", "/stocks/RELIANCE/", "/portfolio/",
    "/orders/?show=all", "/funds/", "/contests/", "/learn/",
)  # fmt: skip


def log_in(browser: Browser, url: str, user: str) -> StorageState:
    """The cookies of a user."""
    context = browser.new_context(viewport=SIZES["laptop"])
    page = context.new_page()
    page.goto(f"{url}/login/", timeout=SECONDS)
    if user == STUDENT:
        page.screenshot(path=FOLDER / "login.png")
    page.fill("#id_username", user)
    page.fill("#id_password", classroom.password())
    page.click("button[type=submit]")
    page.wait_for_url(f"{url}/", timeout=SECONDS)
    if user == STUDENT:  # the desk shows one contest at a time
        page.goto(f"{url}/contests/", timeout=SECONDS)
        choose = page.locator(f"form:has(> [name=contest][value={SLUG}]) .button")
        if choose.count():
            choose.click()
            page.wait_for_url(f"{url}/**", timeout=SECONDS)
    state = context.storage_state()
    context.close()
    return state


def put_to_work(browser: Browser, url: str) -> None:
    """The class trades, once: a second run changes nothing."""
    if classroom.is_at_work(url):
        return
    context = browser.new_context(storage_state=log_in(browser, url, STAFF))
    staff = context.new_page()
    staff.set_default_timeout(SECONDS)
    classroom.set_up(staff, url)
    context.close()
    classroom.trade(url)


def show(page: Page, address: str) -> None:
    """One page once it has settled."""
    page.goto(address, timeout=SECONDS)
    page.wait_for_selector(READY, timeout=SECONDS)
    page.wait_for_function(SETTLED, timeout=SECONDS)
    page.wait_for_timeout(SETTLE_MS)


def shoot(page: Page, file: Path, *, clip: str = "") -> None:
    # Playwright hides the caret with an inline style, which the page's policy forbids.
    shown = page.locator(clip) if clip else page
    picture = Image.open(BytesIO(shown.screenshot(caret="initial"))).convert("RGB")
    # A page has few colours: a palette of 256 is a third of the size, and nobody sees it.
    picture.quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)


def name_of(path: str) -> str:
    return re.sub(r"[^\w]+", "-", path).strip("-") or "dashboard"


def take_pages(browser: Browser, url: str, sizes: list[str]) -> None:
    """Every page of the desk."""
    state = log_in(browser, url, STUDENT)
    pages = [*site_map.paths(site_map.LIVE), *site_map.paths(site_map.QUIET)]
    for size in sizes:
        for theme in THEMES:
            context = browser.new_context(
                viewport=SIZES[size], color_scheme=theme, storage_state=state
            )
            page = context.new_page()
            for path in pages:
                show(page, url + path)
                shoot(page, FOLDER / f"{name_of(path)}-{size}-{theme}.png")
            if theme == "light":
                host = {"domain": urlsplit(url).hostname or "", "path": "/"}
                context.add_cookies([{"name": LANGUAGE_COOKIE, "value": "hi", **host}])
                for path in HINDI:
                    show(page, url + path)
                    shoot(page, FOLDER / f"{name_of(path)}-{size}-hi.png")
            context.close()


def take_pictures(browser: Browser, url: str, only: str) -> None:
    """What README and the documentation show."""
    states = {user: log_in(browser, url, user) for user in (STUDENT, STAFF)}
    for one in pictures.PICTURES:
        for theme in one.themes:
            name = f"{one.name}-{theme}" if len(one.themes) > 1 else one.name
            if only not in name:
                continue
            context = browser.new_context(
                viewport=SIZES[one.size], color_scheme=theme,
                storage_state=states[STAFF if one.staff else STUDENT],
            )  # fmt: skip
            page = context.new_page()
            page.set_default_timeout(SECONDS)
            show(page, url + one.path)
            if one.steps:
                one.steps(page)
                page.wait_for_timeout(SETTLE_MS)
            shoot(page, ROOT / "docs" / "images" / f"{name}.png", clip=one.clip)
            sys.stdout.write(f"{name}\n")
            sys.stdout.flush()
            context.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8000")
    parser.add_argument("--size", choices=SIZES, help="only this width")
    parser.add_argument("--readme", action="store_true", help="the pictures in docs/images")
    parser.add_argument("--only", default="", help="of those, the ones whose name contains this")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"),
            args=["--no-sandbox", "--disable-gpu"],
        )
        put_to_work(browser, options.url)
        if options.readme:
            take_pictures(browser, options.url, options.only)
        else:
            take_pages(
                browser, options.url, [options.size] if options.size else ["laptop", "phone"]
            )
        browser.close()


if __name__ == "__main__":
    main()
