"""Staff look at a student's records: each has a name, and amounts are written as on the desk."""

import pytest
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios.models import LedgerEntry
from tests.trading.corporate import MORNING, announce
from tests.trading.floor import Floor, portfolio
from trading.models import CorporateActionStep


@pytest.fixture
def staff(db: None) -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def page_of(client: Client, row: Model) -> str:
    opts = row._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[row.pk])
    return client.get(url).content.decode()


def test_a_record_has_a_name_and_grouped_amounts(
    staff: Client, floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 10)
    fill = order.fills.get()
    owner = portfolio(alice)
    opening = LedgerEntry.objects.get(portfolio=owner, kind="OPENING")
    bought = LedgerEntry.objects.get(portfolio=owner, kind="FILL")
    for row, title, amount in (
        (opening, "entry 1: Starting cash of the contest", "₹10,00,000.00"),
        (bought, "entry 2: Bought 10 ACME at", f"₹{fill.charges}"),
        (owner, f"alice in {owner.contest.name}", "₹9,9"),
        (order, "Buy 10 ACME", f"₹{fill.price:.2f}"),
        (fill, "10 ACME at", f"₹{fill.price:.2f}"),
    ):
        page = page_of(staff, row)
        assert title in page
        assert amount in page, title
    listed = staff.get(reverse("admin:portfolios_portfolio_changelist")).content.decode()
    assert "₹9,9" in listed


def test_a_corporate_action_asks_no_query_per_holder(
    staff: Client, alice: User, bob: User, acme: Instrument
) -> None:
    action = announce(acme, "SPLIT", numerator=2, denominator=1)

    def queries() -> tuple[int, str]:
        with CaptureQueriesContext(connection) as captured:
            page = page_of(staff, action)
        return len(captured), page

    def hold(user: User) -> None:
        owner = portfolio(user)
        CorporateActionStep.objects.create(
            action=action, portfolio=owner, units=10, applied_at=MORNING
        )

    hold(alice)
    queries()  # content types and the like are cached by the first request
    alone, _ = queries()
    hold(bob)
    both, page = queries()
    assert "alice in" in page
    assert "bob in" in page
    assert both == alone
