"""A student's first minutes: log in, watch prices, buy, see P&L and rank move, log out."""

from collections.abc import Callable

from playwright.sync_api import Page, WebSocket, expect

from tests.journeys.conftest import log_in
from tests.support.product import Product
from tests.support.waiting import eventually

PRICES = "[data-instrument][data-field=last_price]"
# Texts of the first element that shows each instrument, by instrument key.
READ_PRICES = """() => Object.fromEntries(
  [...document.querySelectorAll('[data-instrument][data-field=last_price]')]
    .map(e => [e.dataset.instrument, e.textContent.trim()]))"""
SECONDS = 60_000


def changed_prices(page: Page, before: dict[str, str]) -> set[str]:
    now = page.evaluate(READ_PRICES)
    return {key for key, text in now.items() if key in before and text != before[key]}


def test_first_trade(product: Product, new_page: Callable[..., Page]) -> None:
    page = new_page()
    sockets: list[WebSocket] = []
    page.on("websocket", lambda socket: sockets.append(socket))
    log_in(page, product, "student01")

    # Five different prices change by themselves.
    expect(page.locator("#light")).to_have_attribute("data-state", "live", timeout=SECONDS)
    page.goto(f"{product.url}/market/")
    expect(page.locator(PRICES).first).to_be_visible()
    before = page.evaluate(READ_PRICES)
    eventually(lambda: len(changed_prices(page, before)) >= 5, seconds=20, poll=0.1)

    # Buy ten shares at the market, by mouse.
    page.goto(f"{product.url}/stocks/RELIANCE/")
    page.locator(".stock-actions [data-side=BUY]").click()
    ticket = page.locator("#ticket")
    ticket.get_by_label("Quantity", exact=True).fill("10")
    ticket.get_by_role("button", name="Buy", exact=True).click()
    state = page.locator("#ticket [data-order]")
    expect(state).to_have_attribute("data-status", "FILLED", timeout=SECONDS)

    # The position stands there, and its P&L moves.
    page.goto(f"{product.url}/portfolio/")
    profit = page.locator("[data-position][data-field=unrealised_pnl]").first
    expect(profit).to_be_visible(timeout=SECONDS)
    shown = profit.inner_text()
    expect(profit).not_to_have_text(shown, timeout=SECONDS)
    equity = page.locator("main [data-portfolio=equity]").first
    shown = equity.inner_text()
    expect(equity).not_to_have_text(shown, timeout=SECONDS)

    # The rank page follows without a reload.
    page.goto(f"{product.url}/contests/practice/leaderboard/")
    mine = page.locator("tr.me").first
    expect(mine).to_be_visible(timeout=SECONDS)
    shown = mine.locator("[data-col=equity]").inner_text()
    expect(mine.locator("[data-col=equity]")).not_to_have_text(shown, timeout=SECONDS)
    expect(mine.locator("[data-col=rank]")).not_to_have_text("–", timeout=SECONDS)

    # Logging out closes the socket.
    live = sockets[-1]
    assert not live.is_closed()
    page.locator("summary[aria-label=You]").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/**")
    assert live.is_closed()


def test_logging_out_elsewhere_closes_the_socket(
    product: Product, new_page: Callable[..., Page]
) -> None:
    """A second tab of the same session, left open, must not go on hearing private events."""
    page = new_page()
    log_in(page, product, "student02")
    second = page.context.new_page()
    sockets: list[WebSocket] = []
    second.on("websocket", lambda socket: sockets.append(socket))
    second.goto(f"{product.url}/market/")
    expect(second.locator("#light")).to_have_attribute("data-state", "live", timeout=SECONDS)
    page.locator("summary[aria-label=You]").click()
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login/**")
    eventually(lambda: _pump(second) and all(socket.is_closed() for socket in sockets), seconds=5)


def _pump(page: Page) -> bool:
    """Let Playwright deliver its events; they arrive only while it is called."""
    page.wait_for_timeout(50)
    return True
