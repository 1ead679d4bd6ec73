"""Imports a roster: shows what it would do, then does all of it or nothing."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.db import IntegrityError, transaction

from mockmarket.core import bus
from mockmarket.core.audit import audit
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import roster, services
from portfolios.models import Contest, Invitation, Portfolio
from portfolios.tables import Cell

_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread on paper
_GROUPS, _GROUP_LENGTH = 3, 4
# First passwords are random, 31**12 of them, so a guess need not be slow: argon2 would take four
# minutes for a roster of 5,000. Django hashes each anew with argon2 at the first sign-in.
_FIRST_ITERATIONS = 1_000


class RosterHasErrors(DomainError):
    """Lines of the roster are wrong; nothing was imported."""

    code = "roster_has_errors"


class NotAStudent(DomainError):
    """A line names a staff account, which a roster never touches."""

    code = "not_a_student"


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would do. `updated` have an account already and keep their password."""

    read: roster.Roster
    created: tuple[str, ...]
    updated: tuple[str, ...]
    joining: int
    errors: tuple[roster.RowError, ...]

    @property
    def importable(self) -> bool:
        return not self.errors and bool(self.read.students)


@dataclass(frozen=True, slots=True)
class Credential:
    """A new account and its first password, shown once, to print or to send."""

    username: str
    name: str
    email: str
    password: str


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    created: int
    updated: int
    joined: int
    credentials: tuple[Credential, ...]


def preview(*, data: bytes, contest: Contest | None = None) -> Preview:
    """Read a roster and say what importing it would do; writes nothing.

    Raises roster.InvalidRoster.
    """
    read = roster.parse(data)
    errors = [*read.errors, *_conflicts(read.students)]
    known = _known(read.students)
    return Preview(
        read=read,
        created=tuple(s.username for s in read.students if s.username not in known),
        updated=tuple(s.username for s in read.students if s.username in known),
        joining=0 if contest is None else len(read.students) - _members(contest, read.students),
        errors=tuple(sorted(errors, key=lambda error: error.line)),
    )


def apply(
    *, data: bytes, contest: Contest | None, join: bool, actor: User, reason: str, at: datetime
) -> Imported:
    """Import a roster, all of it or nothing. With a contest, everybody is put on its roster, and
    with `join` also gets a portfolio. Known accounts get names and alias, and nothing else.

    Raises roster.InvalidRoster, RosterHasErrors.
    """
    seen = preview(data=data, contest=contest)
    if seen.errors:
        first = seen.errors[0]
        raise RosterHasErrors(
            f"Nothing was imported: line {first.line} {first.column or 'as a whole'}"
            f" {first.message}, and {len(seen.errors) - 1} more.",
        )
    credentials = _credentials(seen)
    try:
        with transaction.atomic():
            users = _write_users(seen, credentials, at=at)
            joined = _enrol(users, contest=contest, join=join, at=at)
            audit(
                actor=actor,
                action="roster.import",
                target=contest or actor,
                reason=reason,
                at=at,
                after={"created": list(seen.created), "updated": list(seen.updated)},
            )
    except IntegrityError as error:
        raise RosterHasErrors(
            "Nothing was imported: an account of the roster was made meanwhile. Try again."
        ) from error
    return Imported(
        created=len(seen.created),
        updated=len(seen.updated),
        joined=joined,
        credentials=tuple(credentials.values()),
    )


def _known(students: Sequence[roster.Student]) -> dict[str, User]:
    names = [student.username for student in students]
    return {user.username: user for user in User.objects.filter(username__in=names)}


def _conflicts(students: Sequence[roster.Student]) -> list[roster.RowError]:
    """Lines that meet staff, or an e-mail of somebody else."""
    known = _known(students)
    emails = [student.email for student in students if student.email]
    owners = dict(User.objects.filter(email__in=emails).values_list("email", "username"))
    errors = []
    for student in students:
        account = known.get(student.username)
        if account is not None and (account.is_staff or account.is_superuser):
            errors.append(roster.RowError(student.line, "username", "is a staff account"))
        elif student.email and owners.get(student.email, student.username) != student.username:
            errors.append(roster.RowError(student.line, "email", "belongs to another account"))
    return errors


def _members(contest: Contest, students: Sequence[roster.Student]) -> int:
    return Portfolio.objects.filter(
        contest=contest,
        left_at__isnull=True,
        user__username__in=[student.username for student in students],
    ).count()


def _credentials(seen: Preview) -> dict[str, Credential]:
    by_name = {student.username: student for student in seen.read.students}
    return {
        name: Credential(
            username=name,
            name=f"{by_name[name].first_name} {by_name[name].last_name}".strip(),
            email=by_name[name].email,
            password="-".join(
                "".join(secrets.choice(_LETTERS) for _ in range(_GROUP_LENGTH))
                for _ in range(_GROUPS)
            ),
        )
        for name in seen.created
    }


def _first_hash(password: str) -> str:
    hasher = PBKDF2PasswordHasher()
    return hasher.encode(password, hasher.salt(), iterations=_FIRST_ITERATIONS)


def _write_users(seen: Preview, credentials: dict[str, Credential], *, at: datetime) -> list[User]:
    known = _known(seen.read.students)
    new, changed = [], []
    for student in seen.read.students:
        account = known.get(student.username)
        if account is None:
            account = User(
                username=student.username,
                password=_first_hash(credentials[student.username].password),
                date_joined=at,
            )
            new.append(account)
        else:
            changed.append(account)
        account.first_name = student.first_name or account.first_name
        account.last_name = student.last_name or account.last_name
        account.email = student.email or account.email
        account.alias = student.alias or account.alias
    User.objects.bulk_create(new, batch_size=500)
    User.objects.bulk_update(changed, ["first_name", "last_name", "email", "alias"], batch_size=500)
    names = [student.username for student in seen.read.students]
    return list(User.objects.filter(username__in=names).order_by("pk"))


def _enrol(users: Sequence[User], *, contest: Contest | None, join: bool, at: datetime) -> int:
    if contest is None:
        return 0
    Invitation.objects.bulk_create(
        [Invitation(contest=contest, user=user, created_at=at) for user in users],
        batch_size=1_000,
        ignore_conflicts=True,
    )
    if not join:
        return 0
    joined = services.open_portfolios(users=users, contest=contest, at=at)
    bus.wake_engine("contests")
    return joined


CREDENTIAL_HEADER = ("username", "name", "email", "password")


def credential_rows(credentials: Sequence[Credential]) -> list[list[Cell]]:
    """First passwords as a table to print or to merge into letters."""
    return [[c.username, c.name, c.email, c.password] for c in credentials]


ROSTER_HEADER = ("username", "first_name", "last_name", "email", "alias")


def export_rows(*, contest: Contest) -> list[list[Cell]]:
    """A contest's roster in the form that `preview` reads again."""
    people = User.objects.filter(invitations__contest=contest) | User.objects.filter(
        portfolios__contest=contest, portfolios__left_at__isnull=True
    )
    return [
        [user.username, user.first_name, user.last_name, user.email, user.alias]
        for user in people.distinct().order_by("username")
    ]
