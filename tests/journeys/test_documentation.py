"""The documentation is served by the product, and its search works under its policy."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.journeys.conftest import SQLITE_ONLY, log_in
from tests.support.product import Product
from tests.support.waiting import eventually


@SQLITE_ONLY
def test_help_leads_to_the_documentation(product: Product, new_page: Callable[..., Page]) -> None:
    page = new_page()
    log_in(page, product, "student12")
    with page.expect_popup() as opened:
        page.locator("footer").get_by_role("link", name="Help").click()
    page.close()
    address = opened.value.url
    assert address.endswith("/docs/students/")
    page = new_page()  # whose console is watched for what the policy forbids
    page.goto(address)
    expect(page.get_by_role("heading", name="The first day")).to_be_visible()
    found = page.locator(".md-search-result__link").first

    def searched() -> bool:
        """It hears keys, and only once its script and index have been read."""
        asked = page.get_by_role("textbox", name="Search").first
        asked.fill("")
        asked.press_sequentially("stamp duty")
        found.wait_for(timeout=3_000)
        return True

    eventually(searched, seconds=20)
    expect(found).to_contain_text("Charges")
    page.goto(f"{product.url}/docs/students/charges")  # without its slash
    assert page.url.endswith("/docs/students/charges/")
