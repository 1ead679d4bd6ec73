"""A contest made and run in the administration: rules as a form, dashboard, roster out and in."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils.timezone import localtime

from mockmarket.core import clock
from mockmarket.core.models import AuditEntry, User
from portfolios import booking, contests, services
from portfolios.models import Contest, LedgerEntry
from tests.support.api import index, share, student

pytestmark = pytest.mark.django_db

ADD = "/admin/portfolios/contest/add/"


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(User.objects.create(username="root", is_staff=True, is_superuser=True))
    return client


def filled(client: Client, url: str) -> dict[str, Any]:
    """The form as it stands on the page, ready to be sent back."""
    form = client.get(url).context["adminform"].form
    sent: dict[str, Any] = {}
    for name, field in form.fields.items():
        value = form.get_initial_for_field(field, name)
        if value is None or value is False:
            continue
        sent[name] = "on" if value is True else value
    for name in ("starts_at", "ends_at"):
        moment = sent.pop(name, None)
        if moment:
            moment = localtime(moment)
            sent |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
    return sent


def made(client: Client, *, template: str = "classroom", **fields: Any) -> Contest:
    form = filled(client, f"{ADD}?template={template}")
    answer = client.post(
        ADD, {**form, "name": "Class", "slug": "class", "reason": "New term", **fields}
    )
    assert answer.status_code == 302, answer.context["adminform"].form.errors
    return Contest.objects.get(slug="class")


class TestRules:
    @pytest.mark.parametrize("template", contests.TEMPLATES)
    def test_a_template_fills_the_form_and_is_kept_whole(
        self, staff: Client, template: str
    ) -> None:
        contest = made(staff, template=template)
        assert contests.rules_of(contest) == contests.Rules.parse(contests.TEMPLATES[template])

    def test_a_change_raises_the_version_and_is_audited(self, staff: Client) -> None:
        contest = made(staff)
        url = f"/admin/portfolios/contest/{contest.pk}/change/"
        form = filled(staff, url) | {"rule_min_price": "25.5", "rule_shorts": "on"}
        assert staff.post(url, {**form, "reason": "Too many penny shares"}).status_code == 302
        contest.refresh_from_db()
        rules = contests.rules_of(contest)
        assert (str(rules.min_price), rules.shorts, contest.rules_version) == ("25.5", True, 2)
        [entry] = AuditEntry.objects.exclude(action="contest.add")  # once, by the service
        assert (entry.action, entry.before["rules"]["min_price"]) == ("contest.set_rules", "10")
        # The same again is no change.
        staff.post(url, {**filled(staff, url), "reason": "Nothing"})
        contest.refresh_from_db()
        assert contest.rules_version == 2
        staff.post(url, {**filled(staff, url), "capacity": "40", "reason": "A larger room"})
        entry = AuditEntry.objects.get(action="contest.change")
        assert (entry.after, entry.reason) == ({"capacity": "40"}, "A larger room")

    def test_a_wrong_value_is_named_at_its_field(self, staff: Client) -> None:
        form = filled(staff, f"{ADD}?template=classroom")
        wrong = {"rule_leverage_max": "900", "rule_square_off": "25:99"}
        answer = staff.post(ADD, {**form, "name": "C", "slug": "c", "reason": "x", **wrong})
        errors = answer.context["adminform"].form.errors
        assert set(errors) == {"rule_leverage_max", "rule_square_off"}
        assert not Contest.objects.filter(slug="c").exists()

    def test_no_limit_differs_from_the_default(self, staff: Client) -> None:
        contest = made(staff, rule_orders_per_minute_max="")
        assert contests.rules_of(contest).orders_per_minute_max is None

    def test_a_universe_is_an_index_or_named_shares(self, staff: Client) -> None:
        acme, nifty = share("ACME"), index()
        nifty.members.create(instrument=acme, weight=1.0)
        named = made(staff, rule_universe="NAMED", rule_universe_names="acme")
        assert contests.rules_of(named).universe == (acme.key,)
        url = f"/admin/portfolios/contest/{named.pk}/change/"
        assert filled(staff, url)["rule_universe_names"] == "ACME"
        form = filled(staff, url) | {"rule_universe_names": "NOSUCH"}
        answer = staff.post(url, {**form, "reason": "x"})
        assert set(answer.context["adminform"].form.errors) == {"rule_universe_names"}
        staff.post(url, {**form, "rule_universe": nifty.key, "reason": "The index"})
        named.refresh_from_db()
        assert contests.rules_of(named).universe == nifty.key

    def test_they_stand_after_the_start(self, staff: Client) -> None:
        contest = made(staff)
        root = User.objects.get(username="root")
        for state in ("OPEN", "RUNNING"):
            contest = services.change_state(
                contest=contest, state=state, actor=root, reason="Go", at=clock.now()
            )
        url = f"/admin/portfolios/contest/{contest.pk}/change/"
        page = staff.get(url).content.decode()
        assert 'name="rule_shorts"' not in page
        assert contest.rules_hash in page.replace("<wbr>", "")
        assert contest.rules_hash not in page  # it may be broken on a phone
        assert "T+1, as in the market" in page
        form = filled(staff, url) | {"rule_min_price": "1", "rules": "{}", "reason": "Forged"}
        assert staff.post(url, form).status_code == 302
        contest.refresh_from_db()
        assert contests.rules_of(contest).digest() == contest.rules_hash


class TestRosterOut:
    def test_is_read_again_by_the_import(self, staff: Client) -> None:
        contest = made(staff)
        people = [
            student(f"s{n}", first_name=f"=cmd{n}", last_name="Ümlaut, A", email=f"s{n}@x.edu")
            for n in range(3)
        ]
        services.open_portfolios(users=people, contest=contest, at=clock.now())
        answer = staff.get(f"/admin/portfolios/contest/{contest.pk}/roster-csv/")
        assert "class-roster.csv" in answer["Content-Disposition"]
        again = staff.post(
            "/admin/portfolios/contest/roster/",
            {"file": SimpleUploadedFile("r.csv", answer.content), "contest": contest.pk},
        )
        preview = again.context["preview"]
        # A name that a spreadsheet would run left with an apostrophe and is taken back as a text.
        assert [s.username for s in preview.read.students] == ["s0", "s1", "s2"]
        assert (preview.errors, preview.created, preview.joining) == ((), (), 0)


class TestDashboard:
    def test_says_who_takes_part_and_how_they_stand(self, staff: Client) -> None:
        contest = made(staff)
        services.open_portfolios(
            users=[student("idle"), student("idler")], contest=contest, at=clock.now()
        )
        page = staff.get(f"/admin/portfolios/contest/{contest.pk}/dashboard/")
        board = page.context["board"]
        assert (board.members, board.traded, board.fills, board.ranked) == (2, 0, 0, 0)
        assert [user.username for user in board.idle] == ["idle", "idler"]
        assert len(board.head) == 2
        assert staff.get("/admin/portfolios/contest/0/dashboard/").status_code == 404


def test_an_adjustment_is_reversed_once(staff: Client) -> None:
    portfolio = student("alice").portfolios.get()
    root = User.objects.get(username="root")
    entry = booking.adjust_cash(
        portfolio=portfolio, amount=500, reason="Typo", actor=root, at=clock.now()
    )
    url = f"/admin/portfolios/ledgerentry/{entry.pk}/reverse/"
    form = {"_form_submitted": "on", "reason": "It was a typo"}
    for _ in range(2):
        staff.post(url, form)
    portfolio.refresh_from_db()
    assert str(portfolio.cash) == "1000000.00"
    assert LedgerEntry.objects.filter(kind="REVERSAL").count() == 1


class TestList:
    def test_shows_money_and_times_as_the_pages_do(self, staff: Client) -> None:
        contest = made(staff)
        moment = datetime(2026, 11, 21, 8, 33, 27, tzinfo=UTC)
        Contest.objects.filter(pk=contest.pk).update(starts_at=moment)
        page = staff.get("/admin/portfolios/contest/").content.decode()
        assert "₹10,00,000" in page
        assert "21 Nov 2026, 14:03:27" in page


class TestMoves:
    @pytest.mark.parametrize(
        ("state", "shown"),
        [
            ("DRAFT", {"Open to join", "Archive"}),
            ("RUNNING", {"Freeze", "Finish"}),
            ("FROZEN", {"Start or resume", "Finish"}),
            ("ARCHIVED", set()),
        ],
    )
    def test_only_those_that_may_follow_are_offered(
        self, staff: Client, state: str, shown: set[str]
    ) -> None:
        contest = made(staff)
        Contest.objects.filter(pk=contest.pk).update(state=state)
        page = staff.get(f"/admin/portfolios/contest/{contest.pk}/change/").content.decode()
        moves = {"Open to join", "Start or resume", "Freeze", "Finish", "Archive"}
        offered = {move for move in moves if re.search(rf">\s*{move}\s*<", page)}
        assert offered == shown
        assert "Dashboard" in page

    def test_practice_is_not_made_by_hand(self, staff: Client) -> None:
        assert "is_practice" not in filled(staff, ADD)
        assert made(staff, is_practice="on").is_practice is False


class TestFirstPage:
    def test_names_the_contests_under_way_and_leads_to_what_one_comes_to_do(
        self, staff: Client
    ) -> None:
        assert "Begin one with" in staff.get("/admin/").content.decode()
        contest = made(staff)
        page = staff.get("/admin/").content.decode()
        assert f"/admin/portfolios/contest/{contest.pk}/change/" in page
        assert f"/admin/portfolios/contest/{contest.pk}/dashboard" in page
        assert "New term" in page  # the reason that was given for it
        for path in (f"{ADD}?template=classroom", "/admin/portfolios/contest/roster/"):
            assert path in page
            assert staff.get(path).status_code == 200
        Contest.objects.update(state=Contest.State.ARCHIVED)
        assert "Begin one with" in staff.get("/admin/").content.decode()

    def test_shows_only_what_the_visitor_may_see(self) -> None:
        visitor = Client()
        visitor.force_login(User.objects.create(username="helper", is_staff=True))
        page = visitor.get("/admin/").content.decode()
        for words in ("Contests under way", "What staff did last", "New contest", "Import a"):
            assert words not in page
