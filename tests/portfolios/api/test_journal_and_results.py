"""Journal, results, certificates and announcements over REST."""

from typing import Any

import pytest

from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import announcements, results, services
from portfolios.models import Contest, JournalEntry
from tests.portfolios.support import contest
from tests.support.api import client_of, share, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return student("alice")


class TestJournal:
    def write(self, user: User, text: str, **more: Any) -> Any:
        return client_of(user).post("/api/v1/journal/", {"text": text, **more}, format="json")

    def test_notes_are_written_found_and_changed(self, alice: User) -> None:
        acme = share("ACME")
        made = self.write(
            alice, "Bought the gap.", tags=["Earnings", "news"], instrument_key=acme.key
        )
        assert made.status_code == 201, made.content
        assert (made.json()["symbol"], made.json()["tags"]) == ("ACME", ["earnings", "news"])
        self.write(alice, "Patience.")
        client = client_of(alice)
        found = client.get("/api/v1/journal/?tag=news&symbol=acme&search=gap&kind=NOTE")
        assert [row["id"] for row in found.json()["results"]] == [made.json()["id"]]
        tags = client.get("/api/v1/journal/tags/").json()["results"]
        assert tags == [{"tag": "earnings", "count": 1}, {"tag": "news", "count": 1}]
        url = f"/api/v1/journal/{made.json()['id']}/"
        changed = client.patch(url, {"text": "Sold it.", "tags": []}, format="json").json()
        assert (changed["text"], changed["tags"]) == ("Sold it.", [])
        assert client.delete(url).status_code == 204
        assert JournalEntry.objects.count() == 1

    def test_refusals_name_the_field(self, alice: User) -> None:
        error = self.write(alice, "   ").json()["error"]
        assert list(error["fields"]) == ["text"]
        error = self.write(alice, "x", tags=["no;semicolons"]).json()["error"]
        assert (error["code"], list(error["fields"])) == ("invalid_note", ["tags"])


class TestResults:
    @pytest.fixture
    def ended(self, alice: User) -> Contest:
        found, at = contest(), clock.now()
        services.open_portfolio(user=alice, contest=found, at=at)
        services.open_portfolio(user=student("bob"), contest=found, at=at)
        services.change_state(
            contest=found, state="FINISHED", actor=student("ta"), reason="Over.", at=at
        )
        return found

    def test_are_empty_before_the_end(self, alice: User) -> None:
        running = contest()
        services.open_portfolio(user=alice, contest=running, at=clock.now())
        client = client_of(alice)
        assert client.get(f"/api/v1/contests/{running.slug}/results/").json()["results"] == []
        own = client.get(f"/api/v1/contests/{running.slug}/result/")
        assert (own.status_code, own.json()["error"]["code"]) == (404, "no_result")

    def test_show_places_and_only_ones_own_certificate(self, alice: User, ended: Contest) -> None:
        client = client_of(alice)
        url = f"/api/v1/contests/{ended.slug}/results/?limit=1"
        first = client.get(url).json()
        second = client.get(first["next"]).json()
        names = [row["alias"] for page in (first, second) for row in page["results"]]
        assert sorted(names) == ["alice", "bob"]
        assert "certificate" not in first["results"][0]
        assert second["next"] is None
        code = client.get(f"/api/v1/contests/{ended.slug}/result/").json()["certificate"]
        checked = client_of(None).get(f"/api/v1/certificates/{code.lower()}/").json()
        assert (checked["alias"], checked["contest"]) == ("alice", ended.name)
        assert results.certificate(code=code).alias == "alice"
        assert client_of(None).get("/api/v1/certificates/NOSUCHCODE99/").status_code == 404


def test_announcements_reach_their_contest_alone(alice: User) -> None:
    staff, where = student("ta", is_staff=True), contest()
    services.open_portfolio(user=student("bob"), contest=where, at=clock.now())
    announcements.announce(author=staff, title="To all", at=clock.now())
    announcements.announce(author=staff, title="To some", contest=where, at=clock.now())
    titles = {
        name: [
            row["title"]
            for row in client_of(User.objects.get(username=name))
            .get("/api/v1/announcements/")
            .json()["results"]
        ]
        for name in ("alice", "bob")
    }
    assert titles == {"alice": ["To all"], "bob": ["To some", "To all"]}
