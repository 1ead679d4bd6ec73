"""The running product in both flavours, and a browser on it."""

import shutil
from collections.abc import Callable, Generator, Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.support.product import FLAVOURS, Product, running

LOG_LINES = 80
DESKTOP = {"width": 1440, "height": 900}

# For what cannot differ between the flavours. The same fixture, so the same running product:
# pytest puts the tests of one flavour together and starts each flavour once.
SQLITE_ONLY = pytest.mark.parametrize("product", ["sqlite"], indirect=True)
# The same for the longest of them, which has the other flavour's worker: half the time in all.
POSTGRES_ONLY = pytest.mark.parametrize("product", ["postgres"], indirect=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test in this folder is a journey: slow, one after the other, with a browser."""
    for item in items:
        if "/journeys/" in str(item.path):
            item.add_marker(pytest.mark.journey)
            item.add_marker(pytest.mark.timeout(600))
            if shutil.which("chromium") is None:
                item.add_marker(pytest.mark.skip(reason="no Chromium: apt-get install chromium"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed journey's report ends with what the product itself had to say."""
    report = yield
    product = getattr(item, "funcargs", {}).get("product")
    if report.failed and product is not None:
        lines = product.output().splitlines()[-LOG_LINES:]
        report.sections.append(("the product's log", "\n".join(lines)))
    return report


@pytest.fixture(scope="session", params=FLAVOURS)
def product(request: pytest.FixtureRequest) -> Iterator[Product]:
    """`manage.py up --demo`: SQLite with embedded Valkey, then PostgreSQL with Redis.

    The walk over the pages changes its subscription faster than a reader, so it need not wait for
    its turn: tests/marketdata/stream shows that ten changes a minute hold.
    """
    with running(request.param, STREAM_CHANGES_PER_MINUTE="600") as started:
        yield started


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Pages with a browser profile of their own; what their consoles complained about fails."""
    contexts = []
    complaints: list[str] = []

    def make(**options: object) -> Page:
        context = browser.new_context(**{"viewport": DESKTOP, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{page.url}: {message.text}")
                if message.type == "error" and "Content Security" in message.text
                else None
            ),
        )
        return page

    yield make
    for context in contexts:
        context.close()
    assert not complaints, "\n".join(complaints)


def log_in(page: Page, product: Product, user: str) -> None:
    """Log in through the form, as a student does."""
    page.goto(f"{product.url}/login/")
    page.get_by_label("User name").fill(user)
    page.get_by_label("Password", exact=True).fill(product.password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{product.url}/")
