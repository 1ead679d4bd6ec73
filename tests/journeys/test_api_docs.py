"""The interactive page of the API works from local files under the site's own CSP."""

from collections.abc import Callable

from playwright.sync_api import Page, Request, expect

from tests.journeys.conftest import SQLITE_ONLY, log_in
from tests.support.product import Product


@SQLITE_ONLY
def test_an_operation_is_tried_out(product: Product, new_page: Callable[..., Page]) -> None:
    page = new_page()
    elsewhere: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((product.url, "data:")):
            elsewhere.append(request.url)

    page.on("request", note)
    log_in(page, product, "student01")
    answer = page.goto(f"{product.url}/api/docs/")
    assert answer is not None
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    operation = page.locator("#operations-v1-me, #operations-me-me").first
    expect(operation).to_be_visible(timeout=30_000)
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    live = operation.locator(".live-responses-table tbody .response-col_status").first
    expect(live).to_contain_text("200", timeout=30_000)
    expect(operation.locator(".live-responses-table")).to_contain_text("student01")
    assert elsewhere == []
