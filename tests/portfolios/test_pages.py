"""The student's pages of boards, journal and certificates, and a result that stands."""

from decimal import Decimal

import pytest
from django.test import Client
from django.utils import translation

from marketdata.models import LastPrice
from mockmarket.core import clock, redis
from mockmarket.core.models import User
from portfolios import journal, results, services, standings
from portfolios.models import Contest, JournalEntry, Portfolio, PortfolioMetrics, Result
from tests.portfolios.support import contest, hold, instrument, user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _quiet_engine() -> None:
    redis.client().delete(redis.key("valuation"))


@pytest.fixture
def where() -> Contest:
    return contest()


@pytest.fixture
def alice(where: Contest) -> Portfolio:
    who = user("alice", alias="Alice")
    return services.open_portfolio(user=who, contest=where, at=clock.now())


def client_of(who: User, where: Contest | None = None) -> Client:
    client = Client()
    client.force_login(who)
    if where is not None:
        client.post("/contests/switch/", {"contest": where.slug})
    return client


def finish(where: Contest) -> None:
    services.change_state(
        contest=where, state="FINISHED", actor=user("staff"), reason="Over.", at=clock.now()
    )


class TestBoards:
    @pytest.mark.parametrize("board", standings.BOARDS)
    def test_each_shows_what_it_ranks_by(self, alice: Portfolio, board: str) -> None:
        page = client_of(alice.user).get(
            f"/contests/{alice.contest.slug}/leaderboard/", {"board": board}
        )
        text = page.content.decode()
        assert page.status_code == 200
        assert ('data-col="score"' in text) == (board != "return")
        assert "Alice" in text
        # Only these two are asked for again: the returns come by the socket.
        assert ("every 10s" in text) == (board in ("day", "week"))

    def test_luck_stands_beside_the_rank(self, alice: Portfolio) -> None:
        PortfolioMetrics.objects.create(
            portfolio=alice, computed_at=clock.now(), sessions=9, week_equity=1,
            rank_low=2, rank_high=11,
        )  # fmt: skip
        client = client_of(alice.user, alice.contest)
        assert "2–11" in client.get(f"/contests/{alice.contest.slug}/leaderboard/").content.decode()

    def test_ones_own_row_is_on_every_page(self, where: Contest, alice: Portfolio) -> None:
        others = [user(f"s{n:02}") for n in range(60)]
        services.open_portfolios(users=others, contest=where, at=clock.now())
        hold(alice, instrument("ACME", last="1"), 1000, "100000.00")  # the last of all
        client = client_of(alice.user)
        first = client.get(f"/contests/{where.slug}/leaderboard/")
        assert first.context["me_shown"] is False
        assert 'class="me pinned"' in first.content.decode()
        second = client.get(
            f"/contests/{where.slug}/leaderboard/", {"from": first.context["own_offset"]}
        )
        assert second.context["me_shown"] is True
        assert 'id="you"' in second.content.decode()

    def test_a_fragment_is_the_table_alone(self, alice: Portfolio) -> None:
        url = f"/contests/{alice.contest.slug}/leaderboard/?board=day&fragment=1"
        text = client_of(alice.user).get(url).content.decode()
        assert "<html" not in text
        assert 'data-board="day"' in text


class TestResult:
    def test_stands_whatever_prices_do(self, where: Contest, alice: Portfolio) -> None:
        share = instrument("ACME", last="110")
        hold(alice, share, 1000, "100000.00")
        bob = services.open_portfolio(user=user("bob"), contest=where, at=clock.now())
        finish(where)
        where.refresh_from_db()
        LastPrice.objects.update(last_price=Decimal(1))
        client = client_of(alice.user)
        page = client.get(f"/contests/{where.slug}/leaderboard/")
        rows = page.context["board"].rows
        assert [(row.portfolio_id, row.rank, row.return_percent) for row in rows] == [
            (alice.pk, 1, 1.0),
            (bob.pk, 2, 0.0),
        ]
        assert "data-live-contest" not in page.content.decode()
        export = results.export_rows(contest=where, at=clock.now())
        assert [row[0] for row in export] == [1, 2]


class TestCertificate:
    def test_is_open_to_whoever_has_its_code(self, where: Contest, alice: Portfolio) -> None:
        finish(where)
        code = Result.objects.get(portfolio=alice).code
        own = client_of(alice.user).get(f"/contests/{where.slug}/certificate/")
        assert own["Location"] == f"/certificates/{code}/"
        page = Client().get(f"/certificates/{code.lower()}/")
        text = page.content.decode()
        assert "Alice" in text
        assert alice.user.username not in text
        assert alice.user.email == "" or alice.user.email not in text
        found = Client().get("/certificates/", {"code": f" {code} "})
        assert found["Location"] == f"/certificates/{code}/"

    def test_another_code_says_no_more_than_that(self) -> None:
        for path in ("/certificates/NOSUCHCODE12/", "/certificates/?code=%3Cb%3E"):
            page = Client().get(path)
            assert page.status_code == 404
            assert "There is no certificate with this code." in page.content.decode()
        assert Client().get("/certificates/").status_code == 200

    def test_there_is_none_before_the_end(self, alice: Portfolio) -> None:
        client = client_of(alice.user)
        assert client.get(f"/contests/{alice.contest.slug}/certificate/").status_code == 404
        stranger = client_of(user("bob"))
        assert stranger.get(f"/contests/{alice.contest.slug}/certificate/").status_code == 404


class TestJournal:
    URL = "/portfolio/journal/"

    def test_is_written_filtered_mended_and_removed(self, alice: Portfolio) -> None:
        instrument("ACME")
        client = client_of(alice.user, alice.contest)
        note = {"text": "<b>Late.</b>", "instrument": "acme", "tags": "News, mistake"}
        assert client.post(self.URL, note).status_code == 302
        client.post(self.URL, {"text": "Other"})
        text = client.get(self.URL, {"tag": "news"}).content.decode()
        assert "&lt;b&gt;Late." in text
        assert "Other" not in text
        assert "Nothing fits" in client.get(self.URL, {"symbol": "TCS"}).content.decode()
        made = JournalEntry.objects.get(text="Other")
        client.post(f"{self.URL}{made.pk}/", {"text": "Better", "tags": "value"})
        made.refresh_from_db()
        assert (made.text, made.tags, made.portfolio) == ("Better", ["value"], alice)
        client.post(f"{self.URL}{made.pk}/remove/")
        assert not JournalEntry.objects.filter(pk=made.pk).exists()

    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            ({"text": " "}, "A note has 1 to 2000 characters."),
            ({"text": "x", "instrument": "NOSUCH"}, "There is no share with this symbol."),
            ({"text": "x", "tags": "<i>"}, "Up to 8 tags"),
        ],
    )
    def test_a_refusal_stands_at_its_field_and_keeps_what_was_typed(
        self, alice: Portfolio, sent: dict[str, str], said: str
    ) -> None:
        page = client_of(alice.user, alice.contest).post(self.URL, sent)
        assert page.status_code == 400
        assert said in page.content.decode()
        assert JournalEntry.objects.count() == 0

    def test_of_others_is_neither_seen_nor_changed(self, alice: Portfolio) -> None:
        note = journal.write(portfolio=alice, text="Mine alone", at=clock.now())
        stranger = client_of(user("mallory"))
        assert "Mine alone" not in stranger.get(self.URL).content.decode()
        for path in ("", "remove/"):
            answer = stranger.post(f"{self.URL}{note.pk}/{path}", {"text": "Hers"})
            assert answer.status_code == 404
        note.refresh_from_db()
        assert note.text == "Mine alone"


class TestLeaving:
    def test_a_contest_is_left_for_good(self, where: Contest, alice: Portfolio) -> None:
        client = client_of(alice.user, where)
        assert client.post(f"/contests/{where.slug}/leave/")["Location"] == "/contests/"
        page = client.get("/contests/")
        assert where.name not in page.content.decode()
        refused = client.post(f"/contests/{where.slug}/leave/")
        assert refused.status_code == 409
        assert "You have not joined this contest." in refused.content.decode()

    def test_a_contest_that_has_ended_is_not_left(self, where: Contest, alice: Portfolio) -> None:
        finish(where)
        client = client_of(alice.user, where)
        assert f"/contests/{where.slug}/leave/" not in client.get("/contests/").content.decode()
        refused = client.post(f"/contests/{where.slug}/leave/")
        assert "its result stands" in refused.content.decode()

    def test_practice_is_started_afresh(self) -> None:
        who = user("bob")
        old = services.ensure_practice(user=who, at=clock.now())
        hold(old, instrument("ACME", last="1"), 10, "1000.00")
        client = client_of(who)
        assert client.post("/contests/practice/afresh/")["Location"] == "/contests/"
        new = Portfolio.objects.get(user=who, left_at__isnull=True)
        assert new.pk != old.pk
        assert new.cash == Decimal("1000000.00")
        assert "Start afresh" in client.get("/contests/").content.decode()

    def test_the_rules_stand_in_words(self) -> None:
        where = contest(
            rules={
                "universe": "NSE_INDEX|Nifty 50", "reason_required": True, "minimum_fills": 3,
                "cooling_off_seconds": 60, "order_value_max": "100000", "options": True,
            }
        )  # fmt: skip
        who = user("carol")
        services.open_portfolio(user=who, contest=where, at=clock.now())
        text = client_of(who).get("/contests/").content.decode()
        for word in ("Nifty 50", "required", "60 seconds", "₹1,00,000", "Futures and options"):
            assert word in text, word


def test_a_contest_that_staff_ended_is_not_said_to_have_no_end(alice: Portfolio) -> None:
    where = alice.contest
    where.ends_at = None
    where.save()
    assert "– no end" in client_of(alice.user).get("/contests/").content.decode()
    finish(where)
    assert "– Finished" in client_of(alice.user).get("/contests/").content.decode()


class TestNames:
    def test_the_practice_contest_is_named_in_the_readers_language_until_staff_rename_it(
        self,
    ) -> None:
        who = user("alice")
        practice = services.ensure_practice(user=who, at=clock.now()).contest
        with translation.override("hi"):
            assert practice.shown_name == "अभ्यास"
            assert "आज़माने" in practice.shown_description
            practice.name, practice.description = "Sandbox of batch B", ""
            assert practice.shown_name == "Sandbox of batch B"
            assert practice.shown_description == ""

    def test_a_contest_of_staff_keeps_its_name_in_every_language(self, where: Contest) -> None:
        where.name = "Practice"
        with translation.override("hi"):
            assert where.shown_name == "Practice"
