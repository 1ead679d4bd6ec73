"""Writes of contests and of who takes part. The books are written by portfolios/booking.py."""

import secrets
from collections.abc import Collection
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext_noop

from mockmarket.core import bus, close_codes
from mockmarket.core.audit import audit
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import announcements, booking, contests, events, results
from portfolios.models import Contest, Invitation, Portfolio

PRACTICE_SLUG = "practice"
PRACTICE_CASH = Decimal("1000000.00")
# Without 0, 1, I, L, O, U: read aloud in a classroom. 30**8 codes.
_CODE_ALPHABET = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
_CODE_LENGTH = 8


class UnknownJoinCode(DomainError):
    """No contest has this code; the answer is the same for one that is hidden."""

    code = "unknown_join_code"
    status = 404


class ContestNotJoinable(DomainError):
    """The contest does not take anybody now; the message says why."""

    code = "contest_not_joinable"
    status = 409


class ContestFull(DomainError):
    """Every place of the contest is taken."""

    code = "contest_full"
    status = 409


class CannotLeave(DomainError):
    """The portfolio cannot be left: practice, or not joined."""

    code = "cannot_leave"
    status = 409


class StateNotAllowed(DomainError):
    """The contest cannot go from its state to the one asked for."""

    code = "contest_state_not_allowed"
    status = 409


class RulesLocked(DomainError):
    """Rules do not change after the start."""

    code = "rules_locked"
    status = 409


def new_join_code() -> str:
    """A code that is not guessed and is easily read."""
    return "".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH))


# --- Portfolios -------------------------------------------------------------------------
def open_portfolio(*, user: User, contest: Contest, at: datetime) -> Portfolio:
    """The user's portfolio in the contest, with its starting cash booked; the one they have
    when they have one already.

    Checks nothing of the contest: `join_contest` is for people. Wakes the engine after commit.
    """
    with transaction.atomic():
        Contest.objects.select_for_update(of=("self",)).get(id=contest.id)
        portfolio = _open(user=user, contest=contest, at=at)
        bus.wake_engine("contests")
    return portfolio


def open_portfolios(*, users: Collection[User], contest: Contest, at: datetime) -> int:
    """Portfolios for all of `users` in one transaction. Returns how many were new."""
    with transaction.atomic():
        Contest.objects.select_for_update(of=("self",)).get(id=contest.id)
        present = set(
            Portfolio.objects.filter(contest=contest, left_at__isnull=True).values_list(
                "user_id", flat=True
            )
        )
        new = [user for user in users if user.pk not in present]
        for user in new:
            _open(user=user, contest=contest, at=at)
        bus.wake_engine("contests")
    return len(new)


def _open(*, user: User, contest: Contest, at: datetime) -> Portfolio:
    """Under the lock of the contest's row."""
    found = Portfolio.objects.filter(user=user, contest=contest, left_at__isnull=True).first()
    if found is not None:
        return found
    portfolio = Portfolio.objects.create(user=user, contest=contest, joined_at=at)
    booking.open_books(portfolio=portfolio, amount=contest.starting_cash, at=at)
    return portfolio


# --- Practice ---------------------------------------------------------------------------
def practice_contest(*, at: datetime) -> Contest:
    """The contest that everybody has; made on first use."""
    contest, _ = Contest.objects.get_or_create(
        slug=PRACTICE_SLUG,
        defaults={
            "name": gettext_noop("Practice"),
            "description": gettext_noop(
                "Yours to try things. It has no end and may be started afresh."
            ),
            "state": Contest.State.RUNNING,
            "is_practice": True,
            "starts_at": at,
            "starting_cash": PRACTICE_CASH,
            "join_code": new_join_code(),
            "rules": practice_rules().as_json(),
            "rules_hash": practice_rules().digest(),
            "created_at": at,
        },
    )
    return contest


def practice_rules() -> contests.Rules:
    """The default rules, with futures and options where PRACTICE_DERIVATIVES allows them."""
    if not settings.PRACTICE_DERIVATIVES:
        return contests.Rules()
    return contests.Rules(products=contests.PRODUCTS, options=True, futures=True)


def follow_practice_setting(*, at: datetime) -> bool:
    """Give the practice contest the rules that the settings ask for; whether it had others."""
    rules = practice_rules()
    others = Contest.objects.filter(slug=PRACTICE_SLUG).exclude(rules_hash=rules.digest())
    if not others.exists():  # each minute, and almost always: no turn of writing for that
        return False
    with transaction.atomic():
        found = others.select_for_update(of=("self",)).first()
        if found is None:
            return False
        before = found.rules
        found.rules, found.rules_hash = rules.as_json(), rules.digest()
        found.rules_version += 1
        found.save(update_fields=["rules", "rules_hash", "rules_version"])
        audit(
            actor=None,
            action="contest.set_rules",
            target=found,
            reason="PRACTICE_DERIVATIVES has changed.",
            at=at,
            before={"rules": before},
            after={"rules": found.rules, "version": found.rules_version},
        )
        bus.wake_engine("contests")
    return True


def ensure_practice(*, user: User, at: datetime) -> Portfolio:
    """The user's practice portfolio, opened on first use."""
    found = (
        Portfolio.objects.select_related("contest", "user")
        .filter(user=user, contest__is_practice=True, left_at__isnull=True)
        .first()
    )
    if found is not None:
        return found
    return open_portfolio(user=user, contest=practice_contest(at=at), at=at)


def join_practice(*, users: Collection[User], at: datetime) -> int:
    """Practice portfolios for all of `users`. Returns how many were new."""
    return open_portfolios(users=users, contest=practice_contest(at=at), at=at)


# --- Joining and leaving ----------------------------------------------------------------
def join_contest(*, user: User, code: str, at: datetime) -> Portfolio:
    """Join a contest by its code. Joining twice gives the same portfolio.

    Raises UnknownJoinCode, ContestNotJoinable, ContestFull.
    """
    with transaction.atomic():
        contest = (
            Contest.objects.select_for_update(of=("self",))
            .filter(join_code=code.strip().upper())
            .exclude(state__in=[Contest.State.DRAFT, Contest.State.ARCHIVED])
            .first()
        )
        if contest is None:
            raise UnknownJoinCode(
                "No contest has this code.", fields={"code": "No contest has this code."}
            )
        own = Portfolio.objects.filter(user=user, contest=contest)
        present = own.filter(left_at__isnull=True).first()
        if present is not None:
            return present
        _require_joinable(contest, at=at)
        if own.exists() and not contest.is_practice:
            raise ContestNotJoinable("You have left this contest; it cannot be joined again.")
        _require_invited(user, contest)
        members = Portfolio.objects.filter(contest=contest, left_at__isnull=True).count()
        if contest.capacity is not None and members >= contest.capacity:
            raise ContestFull(f"All {contest.capacity} places of this contest are taken.")
        portfolio = _open(user=user, contest=contest, at=at)
        bus.wake_engine("contests")
    return portfolio


def _require_joinable(contest: Contest, *, at: datetime) -> None:
    if contest.state not in contests.JOINABLE:
        raise ContestNotJoinable(f"This contest is {contest.get_state_display().lower()}.")
    if contest.ends_at is not None and at >= contest.ends_at:
        raise ContestNotJoinable("This contest has ended.")
    started = contest.state == Contest.State.RUNNING or at >= contest.starts_at
    if started and not contests.rules_of(contest).late_join:
        raise ContestNotJoinable("This contest has started and takes nobody later.")


def _require_invited(user: User, contest: Contest) -> None:
    if contest.audience != Contest.Audience.ROSTER:
        return
    if not Invitation.objects.filter(contest=contest, user=user).exists():
        raise ContestNotJoinable("This contest is for those on its roster; ask your teacher.")


def leave_contest(*, user: User, contest: Contest, at: datetime) -> Portfolio:
    """Leave a contest: the portfolio keeps its books, is ranked no more, and is not reopened.

    Open sockets come back in a moment, and then know nothing of it.

    Raises CannotLeave for the practice contest, for one not joined, and while orders hold cash.
    """
    with transaction.atomic():
        portfolio = (
            Portfolio.objects.select_for_update(of=("self",))
            .filter(user=user, contest=contest, left_at__isnull=True)
            .first()
        )
        if portfolio is None:
            raise CannotLeave("You have not joined this contest.")
        if contest.is_practice:
            raise CannotLeave("The practice portfolio is started afresh, not left.")
        if contest.state in contests.ENDED:
            raise CannotLeave("This contest has ended: its result stands.")
        if portfolio.reserved:
            raise CannotLeave("Cancel your open orders first.")
        portfolio.left_at = at
        portfolio.save(update_fields=["left_at"])
        bus.wake_engine("contests")
        said = f"You left {contest.name}."
        transaction.on_commit(
            lambda: bus.close_sockets(user_id=user.pk, code=close_codes.COME_BACK, reason=said)
        )
    return portfolio


# --- Contests ---------------------------------------------------------------------------
def change_state(
    *, contest: Contest, state: str, actor: User | None, reason: str, at: datetime
) -> Contest:
    """Move a contest to another state by the table; the start locks and hashes its rules, the end
    freezes its result.

    Every open page hears it. Raises StateNotAllowed, contests.InvalidRules, ReasonRequired.
    """
    with transaction.atomic():
        locked = Contest.objects.select_for_update(of=("self",)).get(id=contest.id)
        if state not in contests.STATE_TABLE[locked.state]:
            raise StateNotAllowed(
                f"A contest that is {locked.state} cannot become {state}.",
                fields={"state": f"cannot follow {locked.state}"},
            )
        before = locked.state
        locked.state = state
        if before == Contest.State.OPEN and state == Contest.State.RUNNING:
            rules = contests.rules_of(locked)
            locked.rules, locked.rules_hash = rules.as_json(), rules.digest()
        locked.save(update_fields=["state", "rules", "rules_hash"])
        if state == Contest.State.FINISHED:
            results.freeze(contest=locked, at=at)
        audit(
            actor=actor,
            action="contest.change_state",
            target=locked,
            reason=reason,
            at=at,
            before={"state": before},
            after={"state": state, "rules_hash": locked.rules_hash},
        )
        bus.wake_engine("contests")
        _announce_state(locked, before=before, actor=actor, reason=reason, at=at)
        payload = events.contest_update(contest=locked, reason=reason)
        transaction.on_commit(
            lambda: bus.publish_live([(bus.EVERYBODY, events.CONTEST_UPDATE, payload)])
        )
    return locked


_SAID = {
    ("RUNNING", "FROZEN"): "{name} is frozen",
    ("FROZEN", "RUNNING"): "{name} goes on",
    ("RUNNING", "FINISHED"): "{name} has ended",
    ("FROZEN", "FINISHED"): "{name} has ended",
}


def _announce_state(
    contest: Contest, *, before: str, actor: User | None, reason: str, at: datetime
) -> None:
    """Tell the members what staff did to their contest, and why; it stays in their list."""
    said = _SAID.get((before, contest.state))
    if said is not None and actor is not None:
        announcements.announce(
            author=actor,
            title=said.format(name=contest.name),
            body=reason,
            contest=contest,
            at=at,
        )


def set_rules(
    *, contest: Contest, rules: contests.Rules, actor: User, reason: str, at: datetime
) -> Contest:
    """Replace the rules of a contest that has not started; their version goes up by one.

    Raises RulesLocked, ReasonRequired.
    """
    with transaction.atomic():
        locked = Contest.objects.select_for_update(of=("self",)).get(id=contest.id)
        if locked.state in contests.LOCKED:
            raise RulesLocked("The contest has started: its rules stay as they are.")
        before = locked.rules
        locked.rules = rules.as_json()
        locked.rules_version += 1
        locked.save(update_fields=["rules", "rules_version"])
        audit(
            actor=actor,
            action="contest.set_rules",
            target=locked,
            reason=reason,
            at=at,
            before={"rules": before},
            after={"rules": locked.rules, "version": locked.rules_version},
        )
    return locked
