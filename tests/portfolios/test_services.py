"""Joining, leaving, and the life of a contest."""

import threading
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, close_old_connections, connection, transaction

from mockmarket.core.audit import ReasonRequired
from mockmarket.core.models import AuditEntry, OutboxEvent, User
from portfolios import contests, services
from portfolios.models import Contest, LedgerEntry, Portfolio, Posting
from tests.portfolios.support import AT, contest, user

pytestmark = pytest.mark.django_db


class TestOpenPortfolio:
    def test_books_the_starting_cash_once(self) -> None:
        alice, where = user("alice"), contest()
        first = services.open_portfolio(user=alice, contest=where, at=AT)
        again = services.open_portfolio(user=alice, contest=where, at=AT)
        assert first == again
        assert first.cash == Decimal("1000000.00")
        entry = LedgerEntry.objects.get(portfolio=first)
        assert entry.kind == LedgerEntry.Kind.OPENING
        assert sum(p.amount for p in Posting.objects.filter(entry=entry)) == 0

    def test_opens_for_a_whole_class_and_skips_who_is_in(self) -> None:
        students = [user(f"student{n}") for n in range(5)]
        assert services.join_practice(users=students[:2], at=AT) == 2
        assert services.join_practice(users=students, at=AT) == 3
        assert services.join_practice(users=students, at=AT) == 0


class TestEnsurePractice:
    def test_gives_everybody_one_in_the_same_contest(self) -> None:
        alice, bob = user("alice"), user("bob")
        first = services.ensure_practice(user=alice, at=AT)
        assert services.ensure_practice(user=alice, at=AT) == first
        assert services.ensure_practice(user=bob, at=AT).contest == first.contest
        assert first.contest.is_practice


class TestJoinContest:
    def test_takes_the_code_as_people_type_it(self) -> None:
        alice, where = user("alice"), contest(state="OPEN")
        joined = services.join_contest(user=alice, code=f" {where.join_code.lower()} ", at=AT)
        assert joined.contest == where
        assert services.join_contest(user=alice, code=where.join_code, at=AT) == joined

    @pytest.mark.parametrize("state", ["DRAFT", "ARCHIVED"])
    def test_does_not_know_hidden_contests(self, state: str) -> None:
        where = contest(state=state)
        with pytest.raises(services.UnknownJoinCode):
            services.join_contest(user=user("alice"), code=where.join_code, at=AT)

    @pytest.mark.parametrize("state", ["FROZEN", "FINISHED"])
    def test_refuses_a_contest_that_takes_nobody(self, state: str) -> None:
        where = contest(state=state)
        with pytest.raises(services.ContestNotJoinable):
            services.join_contest(user=user("alice"), code=where.join_code, at=AT)

    def test_refuses_late_comers_where_the_rules_do(self) -> None:
        where = contest(rules={"late_join": False})
        with pytest.raises(services.ContestNotJoinable):
            services.join_contest(user=user("alice"), code=where.join_code, at=AT)

    def test_refuses_after_the_end(self) -> None:
        where = contest(ends_at=AT + timedelta(days=1))
        with pytest.raises(services.ContestNotJoinable):
            services.join_contest(
                user=user("alice"), code=where.join_code, at=AT + timedelta(days=1)
            )

    def test_fills_its_places_and_no_more(self) -> None:
        where = contest(capacity=1)
        services.join_contest(user=user("alice"), code=where.join_code, at=AT)
        with pytest.raises(services.ContestFull):
            services.join_contest(user=user("bob"), code=where.join_code, at=AT)

    def test_takes_nobody_back_who_left(self) -> None:
        alice, where = user("alice"), contest()
        services.join_contest(user=alice, code=where.join_code, at=AT)
        services.leave_contest(user=alice, contest=where, at=AT)
        with pytest.raises(services.ContestNotJoinable):
            services.join_contest(user=alice, code=where.join_code, at=AT)


class TestLeaveContest:
    def test_keeps_the_books(self) -> None:
        alice, where = user("alice"), contest()
        joined = services.join_contest(user=alice, code=where.join_code, at=AT)
        left = services.leave_contest(user=alice, contest=where, at=AT)
        assert left == joined
        assert left.left_at == AT
        assert LedgerEntry.objects.filter(portfolio=left).exists()

    def test_refuses_practice_and_what_was_not_joined(self) -> None:
        alice = user("alice")
        practice = services.ensure_practice(user=alice, at=AT).contest
        for where in (practice, contest()):
            with pytest.raises(services.CannotLeave):
                services.leave_contest(user=alice, contest=where, at=AT)

    def test_refuses_while_orders_hold_cash(self) -> None:
        alice, where = user("alice"), contest()
        joined = services.join_contest(user=alice, code=where.join_code, at=AT)
        Portfolio.objects.filter(id=joined.id).update(reserved=Decimal("10.00"))
        with pytest.raises(services.CannotLeave):
            services.leave_contest(user=alice, contest=where, at=AT)


class TestChangeState:
    def test_walks_only_along_the_table(self) -> None:
        staff = user("staff")
        for before in Contest.State.values:
            for after in Contest.State.values:
                where = contest(state=before)
                if after in contests.STATE_TABLE[before]:
                    services.change_state(
                        contest=where, state=after, actor=staff, reason="planned", at=AT
                    )
                else:
                    with pytest.raises(services.StateNotAllowed):
                        services.change_state(
                            contest=where, state=after, actor=staff, reason="planned", at=AT
                        )

    def test_locks_and_hashes_the_rules_at_the_start(self) -> None:
        staff, where = user("staff"), contest(state="OPEN", rules={"shorts": False})
        started = services.change_state(
            contest=where, state="RUNNING", actor=staff, reason="begin", at=AT
        )
        assert started.rules_hash == contests.Rules(shorts=False).digest()
        with pytest.raises(services.RulesLocked):
            services.set_rules(
                contest=where, rules=contests.Rules(), actor=staff, reason="kinder", at=AT
            )

    def test_is_recorded_with_its_reason(self) -> None:
        staff, where = user("staff"), contest()
        services.change_state(
            contest=where, state="FROZEN", actor=staff, reason="Wrong prices.", at=AT
        )
        entry = AuditEntry.objects.get(object_type="contest", object_id=str(where.id))
        assert (entry.actor, entry.reason) == (staff, "Wrong prices.")
        assert (entry.before["state"], entry.after["state"]) == ("RUNNING", "FROZEN")

    def test_tells_the_members_and_nobody_else(self) -> None:
        staff, alice, bob, where = user("staff"), user("alice"), user("bob"), contest()
        services.open_portfolio(user=alice, contest=where, at=AT)
        services.change_state(contest=where, state="FROZEN", actor=staff, reason="A check.", at=AT)
        [event] = OutboxEvent.objects.filter(user=alice)
        assert event.payload["title"] == f"{where.name} is frozen"
        assert event.payload["body"] == "A check."
        assert not OutboxEvent.objects.filter(user=bob).exists()

    def test_changes_nothing_without_a_reason(self) -> None:
        where = contest()
        with pytest.raises(ReasonRequired):
            services.change_state(
                contest=where, state="FROZEN", actor=user("staff"), reason="  ", at=AT
            )
        where.refresh_from_db()
        assert where.state == "RUNNING"


class TestDatabaseItself:
    def test_refuses_two_portfolios_at_a_time(self) -> None:
        alice, where = user("alice"), contest()
        services.open_portfolio(user=alice, contest=where, at=AT)
        with pytest.raises(IntegrityError), transaction.atomic():
            Portfolio.objects.create(user=alice, contest=where, joined_at=AT)


@pytest.mark.django_db(transaction=True)
class TestRace:
    def test_the_last_place_is_given_once(self) -> None:
        students = [user(f"student{n}") for n in range(6)]
        where = contest(capacity=2)
        start, outcomes = threading.Barrier(6), []

        def join(student: User) -> None:
            start.wait(timeout=10)
            try:
                services.join_contest(user=student, code=where.join_code, at=AT)
                outcomes.append("in")
            except services.ContestFull:
                outcomes.append("full")
            finally:
                close_old_connections()
                connection.close()

        threads = [threading.Thread(target=join, args=(s,)) for s in students]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=30)
        assert sorted(outcomes) == ["full"] * 4 + ["in"] * 2
        assert Portfolio.objects.filter(contest=where).count() == 2


def test_practice_trades_derivatives_where_the_setting_allows_them(
    settings, django_assert_num_queries
):
    contest = services.practice_contest(at=AT)
    assert (contest.rules["options"], contest.rules["futures"]) == (False, False)
    with django_assert_num_queries(1):  # a question; no transaction that writes
        assert services.follow_practice_setting(at=AT) is False
    settings.PRACTICE_DERIVATIVES = True
    assert services.follow_practice_setting(at=AT) is True
    contest.refresh_from_db()
    assert contest.rules["products"] == ["CNC", "MIS", "NRML"]
    assert (contest.rules["options"], contest.rules["futures"]) == (True, True)
    assert services.follow_practice_setting(at=AT) is False
    settings.PRACTICE_DERIVATIVES = False
    assert services.follow_practice_setting(at=AT) is True
