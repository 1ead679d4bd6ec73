"""Announcements reach whom they are for, and stay in a list."""

import pytest

from mockmarket.core.models import AuditEntry, OutboxEvent
from portfolios import announcements, services
from tests.portfolios.support import AT, contest, user

pytestmark = pytest.mark.django_db


class TestAnnounce:
    def test_tells_everybody_who_is_active(self) -> None:
        staff, alice = user("staff", is_staff=True), user("alice")
        gone = user("gone", is_active=False)
        made = announcements.announce(author=staff, title=" Market halted ", body="Wait.", at=AT)
        [event] = OutboxEvent.objects.filter(user=alice)
        assert event.type == "announcement"
        assert event.payload == {
            "id": made.pk,
            "title": "Market halted",
            "body": "Wait.",
            "contest": None,
            "created_at": AT.isoformat(),
        }
        assert not OutboxEvent.objects.filter(user=gone).exists()
        assert AuditEntry.objects.filter(action="announcement.create", actor=staff).exists()

    def test_of_a_contest_stays_in_it(self) -> None:
        staff, alice, bob, where = user("staff"), user("alice"), user("bob"), contest()
        services.open_portfolio(user=alice, contest=where, at=AT)
        announcements.announce(author=staff, title="Only you", contest=where, at=AT)
        assert OutboxEvent.objects.filter(user=alice, type="announcement").count() == 1
        assert not OutboxEvent.objects.filter(user=bob).exists()
        assert [a.title for a in announcements.announcements_for(user=alice)] == ["Only you"]
        assert list(announcements.announcements_for(user=bob)) == []

    @pytest.mark.parametrize(("title", "body"), [("", "x"), ("x" * 121, ""), ("x", "y" * 2001)])
    def test_refuses_what_no_page_can_show(self, title: str, body: str) -> None:
        with pytest.raises(announcements.InvalidAnnouncement):
            announcements.announce(author=user("staff"), title=title, body=body, at=AT)
        assert not OutboxEvent.objects.exists()
