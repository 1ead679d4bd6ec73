"""Every page that shows a price is live, subscribes to no more than it shows, and is accessible.

The lesson of the seeds: a complete WebSocket, used by one page in eleven.
"""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.sync_api import Page, expect

from tests.journeys.conftest import POSTGRES_ONLY, SQLITE_ONLY, log_in
from tests.support import site_map
from tests.support.product import Product
from tests.support.waiting import eventually

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
AUDIT = """async (rules) => {
  const found = await axe.run({ ...rules, resultTypes: ["violations"] });
  return found.violations.map(rule => `${rule.id}: ${rule.nodes[0].html.slice(0, 160)} `
    + rule.nodes[0].failureSummary.slice(0, 200));
}"""
# What the page's own part shows of prices and own figures, in order.
MAIN_PRICES = """() => [...document.querySelectorAll(
  '#main [data-instrument][data-field=last_price],'
  + '#main [data-instrument][data-field=change_percent],'
  + '#main [data-position], #main [data-portfolio], #main [data-col=equity]')]
  .map(cell => cell.textContent)"""
SHOWN_KEYS = """() => [...new Set([...document.querySelectorAll('[data-instrument]')]
  .map(cell => cell.dataset.instrument))]"""
GO = """path => { const a = document.createElement('a'); a.href = path;
  document.getElementById('main').append(a); window.htmx.process(a); a.click(); }"""
NO_CONTRAST = {"color-contrast": {"enabled": False}}
PINNED_MAX = 2  # the chart's and the ticket's instrument
# India VIX, the only price of the page on sentiment, can stand still for many seconds.
STILL_SECONDS = 30
PHONE, LAPTOP = 360, 1366
SECONDS = 60_000


class Wanted:
    """The instruments that the page's socket last asked for."""

    def __init__(self, page: Page) -> None:
        self.keys: set[str] = set()
        self.most = 0
        page.on("websocket", lambda socket: socket.on("framesent", self._sent))

    def _sent(self, payload: Any) -> None:
        action = json.loads(payload)
        if action.get("action") == "set":
            self.keys = set(action["instruments"])
            self.most = max(self.most, len(self.keys))


def leaked(page: Page, wanted: Wanted) -> int:
    """How many instruments are asked for that the page does not show."""
    page.wait_for_timeout(50)  # Playwright delivers frames only while it is called
    return len(wanted.keys - set(page.evaluate(SHOWN_KEYS)))


def prepare(page: Page, product: Product) -> None:
    """A watched share, an alert, a position, an open order and a watched price."""
    page.goto(f"{product.url}/market/")
    page.locator("[data-search]").first.fill("INFY")
    page.locator("#found button[hx-post]").first.click()
    page.goto(f"{product.url}/alerts/")
    page.get_by_label("Share", exact=True).fill("RELIANCE")
    page.get_by_label("Rupees, percent or times").fill("999999")
    page.get_by_role("button", name="Watch it").click()
    expect(page.locator("main tbody tr")).to_have_count(1)
    page.goto(f"{product.url}/stocks/RELIANCE/")
    ticket = page.locator("#ticket")

    def open_ticket() -> float:
        page.keyboard.press("Escape")
        page.locator(".stock-actions [data-side=BUY]").click()
        ticket.get_by_label("Quantity", exact=True).fill("5")
        return float(ticket.locator("form").get_attribute("data-last-price") or 0)

    def low(price: float) -> str:
        return f"{int(price * 0.95)}.00"

    def send() -> None:
        ticket.locator("[data-submit]").click()
        expect(ticket.locator(".order-state")).to_be_visible(timeout=SECONDS)

    open_ticket()
    send()
    expect(ticket.locator("[data-order]")).to_have_attribute(
        "data-status", "FILLED", timeout=SECONDS
    )
    # Own fills appear on the chart without a reload.
    expect(page.locator("[data-chart=candles]")).to_have_attribute("data-fills", "1")
    price = open_ticket()
    ticket.get_by_text("Limit", exact=True).click()
    ticket.get_by_label("Limit price").fill(low(price))
    send()
    price = open_ticket()
    ticket.get_by_text("Wait for a price").click()
    ticket.get_by_label("When it falls to").fill(low(price))
    send()


@SQLITE_ONLY
def test_every_price_moves_and_nothing_leaks(
    product: Product, new_page: Callable[..., Page]
) -> None:
    page = new_page()
    wanted = Wanted(page)
    log_in(page, product, "student11")
    prepare(page, product)
    still = []
    for path in site_map.paths(site_map.LIVE):
        # Boosted, as a reader goes: the shell and the socket stay.
        page.evaluate(GO, path)
        page.wait_for_url(f"**{path.replace(' ', '%20')}")
        shown = page.locator("#main :is([data-instrument], [data-position], [data-col=equity])")
        # The mood is first measured within a minute of the start; its page looks every 30 s.
        expect(shown.first).to_be_attached(timeout=90_000)
        before = page.evaluate(MAIN_PRICES)
        try:
            eventually(
                lambda seen=before: page.evaluate(MAIN_PRICES) != seen,
                seconds=STILL_SECONDS,
                poll=0.1,
            )
        except AssertionError:
            still.append(path)
        eventually(lambda: leaked(page, wanted) <= PINNED_MAX, seconds=8, poll=0.2)
    assert still == []
    assert 0 < wanted.most <= 100


@POSTGRES_ONLY
def test_every_page_is_accessible_and_fits(product: Product, new_page: Callable[..., Page]) -> None:
    """One load a page: light on a laptop, the colours again in the dark, dark on a phone."""
    page = new_page(
        viewport={"width": LAPTOP, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    page.goto(f"{product.url}/login/")
    wrong = violations(page)
    log_in(page, product, "student12")
    for path in [*site_map.paths(site_map.LIVE), *site_map.paths(site_map.QUIET)]:
        page.goto(product.url + path)
        wrong += violations(page)
    page.goto(f"{product.url}/stocks/RELIANCE/")
    expect(page.locator("html")).to_have_attribute("data-ready", "1")
    for kind in ("Order", "Wait for a price", "Bracket"):
        page.keyboard.press("b")
        ticket = page.locator("#ticket")
        ticket.get_by_text(kind, exact=True).click()
        expect(ticket.locator("#estimate").locator("dd, p").first).to_be_visible(timeout=20_000)
        ticket.locator("[data-submit]").scroll_into_view_if_needed()
        wrong += violations(page)
        page.keyboard.press("Escape")
    assert wrong == []


def violations(page: Page) -> list[str]:
    """What axe holds against the page in both themes and widths, one line a rule."""
    page.evaluate(AXE)
    found = audit(page, "light laptop", {"runOnly": TAGS})
    page.emulate_media(color_scheme="dark")
    found += audit(page, "dark laptop", {"runOnly": ["color-contrast"]})
    page.set_viewport_size({"width": PHONE, "height": 800})
    # Contrast is the slowest rule by far, and the colours are the laptop's.
    found += audit(page, "dark phone", {"runOnly": TAGS, "rules": NO_CONTRAST})
    if page.evaluate("document.documentElement.scrollWidth") > PHONE:
        found.append(f"{page.url}: wider than {PHONE} px")
    page.set_viewport_size({"width": LAPTOP, "height": 800})
    page.emulate_media(color_scheme="light")
    return found


def audit(page: Page, form: str, rules: dict[str, Any]) -> list[str]:
    """axe's complaints about the page as it stands now."""
    return [f"{page.url} ({form}) {line}" for line in page.evaluate(AUDIT, rules)]


@SQLITE_ONLY
def test_a_fill_by_keyboard_alone(product: Product, new_page: Callable[..., Page]) -> None:
    """From the login to a filled order without a mouse, and the fill is said aloud once."""
    page = new_page()
    page.goto(f"{product.url}/login/")
    page.keyboard.type("student13")
    page.keyboard.press("Tab")
    page.keyboard.type(product.password)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{product.url}/")
    expect(page.locator("html")).to_have_attribute("data-ready", "1")
    page.keyboard.press("/")
    page.keyboard.type("TCS")
    expect(page.locator("#found a").first).to_be_visible(timeout=20_000)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/stocks/TCS/")
    page.keyboard.press("b")
    expect(page.locator("#t-quantity")).to_be_focused(timeout=20_000)
    page.keyboard.type("3")
    page.keyboard.press("Enter")
    expect(page.locator("#ticket [data-order]")).to_have_attribute(
        "data-status", "FILLED", timeout=20_000
    )
    expect(page.locator("#voice")).to_contain_text("Bought 3 TCS", timeout=10_000)
    page.keyboard.press("Escape")
    expect(page.locator("#ticket")).not_to_have_class("drawer open")


@SQLITE_ONLY
def test_lists_stay_as_the_reader_arranged_them(
    product: Product, new_page: Callable[..., Page]
) -> None:
    """Columns of the market and the order of a watchlist, also after the page is loaded anew."""
    page = new_page(viewport={"width": LAPTOP, "height": 800})
    log_in(page, product, "student14")
    page.goto(f"{product.url}/market/")
    expect(page.locator("html")).to_have_attribute("data-ready", "1")
    sector = page.locator("th.col-sector")
    expect(sector).to_be_visible()
    page.get_by_text("Columns", exact=True).click()
    page.locator("[data-column=sector]").uncheck()
    expect(sector).to_be_hidden()
    for number, symbol in enumerate(("INFY", "WIPRO"), 1):
        page.locator("[data-search]").first.fill(symbol)
        page.get_by_role("button", name=f"Watch {symbol}", exact=True).click()
        expect(page.locator(".side-list [data-row]")).to_have_count(number)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-ready", "1")
    expect(sector).to_be_hidden()

    page.set_viewport_size({"width": PHONE, "height": 800})
    # A phone has no room for what it chooses from.
    expect(page.get_by_text("Columns", exact=True)).to_be_hidden()
    page.goto(f"{product.url}/watchlists/")
    expect(page.locator("html")).to_have_attribute("data-ready", "1")
    symbols = page.locator("#watch-list .symbol")
    expect(symbols).to_have_text(["INFY", "WIPRO"])
    with page.expect_response("**/order/"):
        page.get_by_role("button", name="Move WIPRO up").click()
    expect(symbols).to_have_text(["WIPRO", "INFY"])
    page.reload()
    expect(symbols).to_have_text(["WIPRO", "INFY"])


# Staff freeze or resume the practice contest, by the service that their page calls.
STATE = """
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import services
services.change_state(contest=services.practice_contest(at=clock.now()), state="{state}",
    actor=User.objects.get(username="admin"), reason="Fire drill", at=clock.now())
"""


@SQLITE_ONLY
def test_a_freeze_reaches_the_open_ticket(product: Product, new_page: Callable[..., Page]) -> None:
    page = new_page()
    log_in(page, product, "student14")
    page.goto(f"{product.url}/stocks/TCS/")
    expect(page.locator("#light")).to_have_attribute("data-state", "live", timeout=SECONDS)
    page.locator(".stock-actions [data-side=BUY]").click()
    submit, notice = page.locator("[data-submit]"), page.locator("[data-contest-notice]")
    expect(submit).to_be_enabled()
    expect(notice).to_be_hidden()
    try:
        product.manage("shell", "-c", STATE.format(state="FROZEN"))
        expect(notice).to_contain_text("Fire drill", timeout=SECONDS)
        expect(submit).to_be_disabled()
    finally:
        product.manage("shell", "-c", STATE.format(state="RUNNING"))
    expect(submit).to_be_enabled(timeout=SECONDS)
    expect(notice).to_be_hidden()


@SQLITE_ONLY
def test_a_broken_connection_is_said_and_mends(
    product: Product, new_page: Callable[..., Page]
) -> None:
    """The web process ends under an open page: the page says so, and is live again by itself."""
    page = new_page()
    log_in(page, product, "student15")
    light, note = page.locator("#light"), page.locator("[data-feed-is=reconnecting]")
    expect(light).to_have_attribute("data-state", "live", timeout=SECONDS)
    expect(note).to_be_hidden()
    web = product.pid_of("web")
    os.kill(web, signal.SIGKILL)
    expect(light).to_have_attribute("data-state", "reconnecting", timeout=SECONDS)
    expect(light).to_have_attribute("data-state", "live", timeout=SECONDS)
    expect(note).to_be_hidden()
