"""What staff say reaches every open page at once."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.journeys.conftest import SQLITE_ONLY, log_in
from tests.support.product import Product

SOON_MS = 5_000  # about a tenth of a second on a quiet machine
ADMIN = "/admin/portfolios"


def staff_page(page: Page, product: Product) -> Page:
    """The administrator's own browser, in the administration."""
    log_in(page, product, "admin")
    page.goto(f"{product.url}{ADMIN}/contest/")
    return page


def act(page: Page, path: str, **fields: str) -> None:
    """Post a form of the administration."""
    answer = page.evaluate(
        """async ([path, fields]) => {
          const token = document.querySelector('[name=csrfmiddlewaretoken]').value;
          const body = new URLSearchParams({csrfmiddlewaretoken: token, ...fields});
          return [(await fetch(path, {method: 'POST', body})).status, path];
        }""",
        [path, fields],
    )
    assert answer[0] == 200, answer


@SQLITE_ONLY
def test_an_announcement_reaches_every_open_page_and_is_kept(
    product: Product, new_page: Callable[..., Page]
) -> None:
    staff = staff_page(new_page(), product)
    open_pages = []
    for number, path in ((14, "/stocks/TCS/"), (15, "/portfolio/journal/")):
        page = new_page()
        log_in(page, product, f"student{number}")
        page.goto(product.url + path)
        expect(page.locator("#light")).to_have_attribute("data-state", "live", timeout=20_000)
        open_pages.append(page)
    act(staff, f"{ADMIN}/announcement/add/", title="Room B12", body="At ten.", contest="")
    for page in open_pages:
        expect(page.locator("#toasts")).to_contain_text("Room B12", timeout=SOON_MS)
    page.goto(f"{product.url}/announcements/")
    expect(page.locator("main")).to_contain_text("Room B12")
