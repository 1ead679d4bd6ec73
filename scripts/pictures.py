"""The pictures of README and documentation: which page, how wide, and what is done on it first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from playwright.sync_api import Page

from scripts.classroom import CONTEST, REASON, SLUG

Themes = tuple[Literal["light", "dark"], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """docs/images/`name`.png; with two themes `name`-light.png and `name`-dark.png."""

    name: str
    path: str
    size: Literal["laptop", "phone", "tall"] = "laptop"
    themes: Themes = ("light",)
    staff: bool = False
    steps: Callable[[Page], None] | None = None
    clip: str = ""


def choose(page: Page, label: str) -> None:
    page.locator("#ticket").get_by_text(label, exact=True).first.click()


def price(page: Page, percent: float) -> str:
    """So many percent of the price that the ticket shows."""
    last = page.locator("form[data-ticket]").get_attribute("data-last-price")
    return f"{round(float(last or 0) * percent / 100)}.00"


def ticket(*, side: str = "BUY") -> Callable[[Page], None]:
    """The ticket of the page's share, with a quantity."""

    def steps(page: Page) -> None:
        page.locator(f".stock-actions [data-side={side}]").click()
        page.wait_for_selector("#t-quantity")
        page.fill("#t-quantity", "5" if side == "SELL" else "25")
        # A contest that asks for a reason opens this part, which hides the costs, and refuses in
        # red until one is given.
        page.fill("#t-reason", REASON)
        page.locator(".ticket-more[open] > summary").click(timeout=2_000)

    return steps


def limit(page: Page) -> None:
    ticket()(page)
    choose(page, "Limit")
    page.fill("#t-price", price(page, 99))


def stop(page: Page) -> None:
    ticket(side="SELL")(page)
    choose(page, "Stop")
    page.fill("#t-trigger_price", price(page, 96))


def gtt(page: Page) -> None:
    ticket(side="SELL")(page)
    choose(page, "Wait for a price")
    page.fill("#t-lower", price(page, 95))
    page.fill("#t-upper", price(page, 108))


def bracket(page: Page) -> None:
    ticket()(page)
    choose(page, "Bracket")
    page.fill("#t-stop", price(page, 97))
    page.fill("#t-target", price(page, 105))


def curve(page: Page) -> None:
    """The equity's curve begins some minutes after the first trade."""
    for _minute in range(10):
        if not page.locator(".chart-state:visible").count():
            return
        page.wait_for_timeout(60_000)
        page.reload()
        page.wait_for_timeout(3_000)


def why(page: Page) -> None:
    """From the executed orders to the newest one's explanation."""
    page.locator("main a[href^='/orders/']").filter(has_text="Why").first.click()
    page.wait_for_selector("main .depth, main .prose")


def dashboard_of_contest(page: Page) -> None:
    page.get_by_role("link", name=CONTEST).first.click()
    page.get_by_role("link", name="Dashboard").first.click()
    page.wait_for_selector("text=First ten")


BOTH: Themes = ("light", "dark")
TICKET = "#ticket"
PICTURES = (
    Picture(name="dashboard", path="/", themes=BOTH, steps=curve),
    Picture(name="share", path="/stocks/RELIANCE/", themes=BOTH),
    Picture(name="ticket", path="/stocks/RELIANCE/", steps=ticket()),
    Picture(name="sectors", path="/sectors/", themes=BOTH),
    Picture(name="options", path="/options/NIFTY/", themes=BOTH),
    Picture(name="leaderboard", path=f"/contests/{SLUG}/leaderboard/"),
    Picture(name="portfolio-phone", path="/portfolio/", size="phone"),
    Picture(name="ticket-limit", path="/stocks/TCS/", size="tall", steps=limit, clip=TICKET),
    Picture(name="ticket-stop", path="/stocks/TCS/", size="tall", steps=stop, clip=TICKET),
    Picture(name="ticket-gtt", path="/stocks/TCS/", size="tall", steps=gtt, clip=TICKET),
    Picture(name="ticket-bracket", path="/stocks/TCS/", size="tall", steps=bracket, clip=TICKET),
    Picture(name="why-this-price", path="/orders/?show=executed", steps=why),
    Picture(name="operations", path="/operations/", staff=True),
    Picture(name="staff-contests", path="/admin/portfolios/contest/", staff=True),
    Picture(
        name="staff-dashboard",
        path="/admin/portfolios/contest/",
        staff=True,
        steps=dashboard_of_contest,
    ),
)
