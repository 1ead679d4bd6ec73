"""The staff's pages: every model, no query per row, records that nobody edits."""

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from mockmarket.core.admin_base import ReadOnlyAdmin
from mockmarket.core.models import AuditEntry, User
from portfolios.models import Contest, Portfolio
from tests.support.api import share, student

pytestmark = pytest.mark.django_db

APPS = ("core", "marketdata", "portfolios", "trading")
MODELS = [model for label in APPS for model in apps.get_app_config(label).get_models()]


@pytest.fixture
def admin_client() -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def url_of(model: Any, page: str = "changelist", *args: Any) -> str:
    from django.urls import reverse

    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label)
class TestEveryModel:
    def test_has_a_list_that_can_be_searched(self, model: Any, admin_client: Client) -> None:
        assert admin.site.is_registered(model), f"{model._meta.label} is missing in the admin"
        assert admin_client.get(url_of(model)).status_code == 200
        assert admin_client.get(url_of(model), {"q": "x"}).status_code == 200

    def test_stands_in_the_sidebar(self, model: Any, admin_client: Client) -> None:
        shown_elsewhere = {"marketdata.WatchlistItem"}
        if model._meta.label not in shown_elsewhere:
            assert url_of(model) in admin_client.get("/admin/").content.decode()


@pytest.mark.parametrize(
    "label",
    [
        "portfolios.LedgerEntry",
        "portfolios.Posting",
        "portfolios.Position",
        "trading.Order",
        "trading.Fill",
        "core.OutboxEvent",
        "core.AuditEntry",
        "core.IdempotencyRecord",
    ],
)
def test_records_are_read_only(label: str, admin_client: Client) -> None:
    model = apps.get_model(label)
    assert isinstance(admin.site.get_model_admin(model), ReadOnlyAdmin)
    assert admin_client.get(url_of(model, "add")).status_code == 403


def test_lists_ask_no_query_per_row(admin_client: Client) -> None:
    def queries(model: Any) -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert admin_client.get(url_of(model)).status_code == 200
        return len(captured)

    student("alice")
    share("ACME")
    shown = [
        User,
        Contest,
        Portfolio,
        *(
            apps.get_model(x)
            for x in ("portfolios.LedgerEntry", "portfolios.Posting", "marketdata.Instrument")
        ),
    ]
    for model in shown:
        queries(model)  # content types and the like are cached by the first request
    before = {model: queries(model) for model in shown}
    for number in range(5):
        student(f"student{number}")
        share(f"ACME{number}")
    assert {model: queries(model) for model in shown} == before


class TestReasons:
    def test_a_change_needs_one_and_is_audited(self, admin_client: Client) -> None:
        row = share("ACME")
        url = url_of(type(row), "change", row.pk)
        form = {"short_name": "", "sector": "Metals", "in_universe": "on"}
        assert admin_client.post(url, form).status_code == 200
        row.refresh_from_db()
        assert row.sector == "Energy"
        assert admin_client.post(url, {**form, "reason": "Notice 12"}).status_code == 302
        row.refresh_from_db()
        assert row.sector == "Metals"
        entry = AuditEntry.objects.get(action="instrument.change")
        assert (entry.reason, entry.actor and entry.actor.username) == ("Notice 12", "root")
        assert (entry.before["sector"], entry.after["sector"]) == ("Energy", "Metals")

    def test_a_halt_needs_one_that_students_read(self, admin_client: Client) -> None:
        row = share("ACME")
        base = f"/admin/marketdata/instrument/{row.pk}"
        asked = admin_client.post(f"{base}/halt/", {"_form_submitted": "on"})
        assert asked.status_code == 200
        row.refresh_from_db()
        assert not row.halted
        form = {"_form_submitted": "on", "reason": "Exchange notice 12"}
        admin_client.post(f"{base}/halt/", form)
        row.refresh_from_db()
        assert (row.halted, row.halt_reason) == (True, "Exchange notice 12")
        assert AuditEntry.objects.get(action="instrument.halt").reason == "Exchange notice 12"
        admin_client.post(f"{base}/resume/", {**form, "reason": "Notice 13"})
        row.refresh_from_db()
        assert (row.halted, row.halt_reason) == (False, "")

    def test_a_cash_adjustment_is_booked_with_it(self, admin_client: Client) -> None:
        portfolio = student("alice").portfolios.get()
        url = f"/admin/portfolios/portfolio/{portfolio.pk}/adjust-cash/"
        form = {"_form_submitted": "on", "amount": "500.00"}
        assert admin_client.post(url, form).status_code == 200
        admin_client.post(url, {**form, "reason": "Prize of the quiz"})
        portfolio.refresh_from_db()
        assert str(portfolio.cash) == "1000500.00"
        assert AuditEntry.objects.get(action="portfolio.adjust_cash").reason == "Prize of the quiz"

    def test_a_contest_is_frozen_and_resumed(self, admin_client: Client) -> None:
        student("alice")
        contest = Contest.objects.get(is_practice=True)
        base = f"/admin/portfolios/contest/{contest.pk}"
        form = {"_form_submitted": "on", "reason": "Fire drill"}
        admin_client.post(f"{base}/to-frozen/", form)
        contest.refresh_from_db()
        assert contest.state == "FROZEN"
        admin_client.post(f"{base}/to-draft/", form)
        admin_client.post(f"{base}/to-running/", form)
        contest.refresh_from_db()
        assert contest.state == "RUNNING"


class TestPrivileges:
    @pytest.fixture
    def assistant(self) -> User:
        from django.contrib.auth.models import Permission

        user = User.objects.create(username="ta", is_staff=True)
        user.user_permissions.set(
            Permission.objects.filter(codename__in=["view_user", "change_user", "add_user"])
        )
        return user

    def test_an_assistant_cannot_raise_anybody(self, assistant: User) -> None:
        client = Client()
        client.force_login(assistant)
        alice = student("alice")
        form = {
            "username": "alice",
            "is_active": "on",
            "is_staff": "on",
            "is_superuser": "on",
            "theme": "SYSTEM",
            "email": "a@example.org",
        }
        assert client.post(url_of(User, "change", alice.pk), form).status_code == 302
        alice.refresh_from_db()
        assert alice.email == "a@example.org"
        assert not alice.is_staff
        assert not alice.is_superuser

    def test_an_assistant_cannot_touch_other_staff(self, assistant: User) -> None:
        client = Client()
        client.force_login(assistant)
        root = User.objects.create(username="root", is_staff=True, is_superuser=True)
        form = {"username": "root", "theme": "SYSTEM"}
        assert client.post(url_of(User, "change", root.pk), form).status_code == 403
        password = {"password1": "another pass 9", "password2": "another pass 9"}
        url = f"/admin/core/user/{root.pk}/password/"
        assert client.post(url, password).status_code == 403
