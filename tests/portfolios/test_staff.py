"""The roster import and the results export, as staff meet them."""

import re

import pytest
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from mockmarket.core import staff_groups
from mockmarket.core.models import AuditEntry, User
from portfolios.models import Contest
from tests.portfolios.support import contest
from tests.support.api import student

pytestmark = pytest.mark.django_db

URL = "/admin/portfolios/contest/roster/"
GOOD = b"username,email,first_name,last_name\nasha,asha@example.org,Asha,Rao\n"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def upload(client: Client, data: bytes) -> str:
    answer = client.post(URL, {"file": SimpleUploadedFile("r.csv", data)})
    assert answer.status_code == 200
    return answer.content.decode()


def hidden(page: str) -> str:
    found = re.search(r'name="roster" value="([^"]*)"', page)
    assert found
    return found[1]


class TestRoster:
    def test_is_previewed_then_imported_with_a_reason(self, staff: Client) -> None:
        page = upload(staff, GOOD)
        assert "asha" in page
        assert not User.objects.filter(username="asha").exists()
        again = staff.post(URL, {"roster": hidden(page)})
        assert not User.objects.filter(username="asha").exists(), again.content
        done = staff.post(URL, {"roster": hidden(page), "reason": "Class of 2026"})
        assert "no-store" in done["Cache-Control"]
        asha = User.objects.get(username="asha")
        assert not asha.is_staff
        password = re.search(r'font-mono">([^<]+)<', done.content.decode())
        assert password
        assert asha.check_password(password[1])
        assert AuditEntry.objects.filter(reason="Class of 2026").exists()

    def test_names_the_contest_and_leads_back_to_it(self, staff: Client) -> None:
        where = contest("Class")
        page = staff.post(
            URL, {"file": SimpleUploadedFile("r.csv", GOOD), "contest": where.pk, "join": "on"}
        ).content.decode()
        assert f"1 of them not yet in {where.name}, whose portfolios are opened at once" in page
        sent = {"roster": hidden(page), "contest": where.pk, "join": "on", "reason": "Term"}
        done = staff.post(URL, sent).content.decode()
        assert f"1 account made, 0 updated, 1 joined {where.name}." in " ".join(done.split())
        assert f"/admin/portfolios/contest/{where.pk}/change/" in done

    def test_mistakes_are_named_and_nothing_is_imported(self, staff: Client) -> None:
        page = upload(staff, GOOD + b"=cmd(),not-an-address,B,C\n")
        assert "mistakes" in page
        assert 'name="roster"' not in page

    def test_a_forged_confirmation_is_read_again(self, staff: Client) -> None:
        answer = staff.post(URL, {"roster": "AAAA", "reason": "x"})
        assert answer.status_code == 200
        assert User.objects.count() == 1


def test_results_are_exported(staff: Client) -> None:
    student("alice")
    contest = Contest.objects.get(is_practice=True)
    answer = staff.get(f"/admin/portfolios/contest/{contest.pk}/csv/")
    assert "alice" in answer.content.decode()
    assert "attachment" in answer["Content-Disposition"]
    sheet = staff.get(f"/admin/portfolios/contest/{contest.pk}/xlsx/")
    assert sheet.content[:2] == b"PK"


class TestGroups:
    @pytest.fixture
    def assistant(self) -> Client:
        staff_groups.sync()
        user = User.objects.create(username="ta", is_staff=True)
        user.groups.add(Group.objects.get(name=staff_groups.ASSISTANTS))
        client = Client()
        client.force_login(user)
        return client

    def test_an_assistant_looks_and_imports(self, assistant: Client) -> None:
        for path in ("portfolios/contest/", "trading/order/", "core/auditentry/"):
            assert assistant.get(f"/admin/{path}").status_code == 200
        assert "asha" in upload(assistant, GOOD)

    def test_an_assistant_moves_no_money_and_no_contest(self, assistant: Client) -> None:
        portfolio = student("alice").portfolios.get()
        form = {"_form_submitted": "on", "reason": "x", "amount": "1"}
        money = f"/admin/portfolios/portfolio/{portfolio.pk}/adjust-cash/"
        freeze = f"/admin/portfolios/contest/{portfolio.contest_id}/to-frozen/"
        assert assistant.post(money, form).status_code == 403
        assert assistant.post(freeze, form).status_code == 403

    def test_an_administrator_needs_no_superuser(self) -> None:
        staff_groups.sync()
        user = User.objects.create(username="admin2", is_staff=True)
        user.groups.add(Group.objects.get(name=staff_groups.ADMINISTRATORS))
        for permission in ("portfolios.change_contest", "portfolios.change_portfolio"):
            assert user.has_perm(permission)
        assert not user.has_perm("portfolios.delete_ledgerentry")

    def test_syncing_twice_changes_nothing(self) -> None:
        first = [group.permissions.count() for group in staff_groups.sync()]
        assert [group.permissions.count() for group in staff_groups.sync()] == first
