"""Rosters: what is read, what is refused by line and column, and nobody gains a privilege."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockmarket.core.audit import ReasonRequired
from mockmarket.core.models import AuditEntry, User
from portfolios import enrolment, roster
from portfolios.models import Invitation, Portfolio
from portfolios.tables import as_csv
from tests.portfolios.support import AT, contest, user


def _csv(*lines: str) -> bytes:
    return "\r\n".join(lines).encode()


def _errors(*lines: str) -> list[tuple[int, str]]:
    return [(error.line, error.column) for error in roster.parse(_csv(*lines)).errors]


class TestParse:
    def test_reads_people_whatever_the_order_of_columns(self) -> None:
        read = roster.parse(_csv("Name,Email,Username", "Asha Rao,ASHA@x.edu,Asha.R"))
        assert read.errors == ()
        [asha] = read.students
        assert (asha.username, asha.first_name, asha.last_name, asha.email) == (
            "asha.r",
            "Asha",
            "Rao",
            "asha@x.edu",
        )

    def test_takes_the_name_before_the_at_where_there_is_no_username(self) -> None:
        [student] = roster.parse(_csv("email", "bina@x.edu")).students
        assert student.username == "bina"

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_reads_what_spreadsheets_write(self, encoding: str) -> None:
        data = 'username,name\r\nasha,"Rao,\r\nAsha हिन्दी"\r\n'.encode(encoding)
        if encoding != "utf-16":
            assert roster.parse(data).errors != ()  # a line break in a name is hidden
        assert roster.parse('username,name\r\nasha,"Rao, A"'.encode(encoding)).errors == ()

    def test_names_line_and_column_of_what_is_wrong(self) -> None:
        assert _errors(
            "username,name,email",
            "asha,Asha,asha@x.edu",
            "a b,Bina,bina@x.edu",
            "chitra,=cmd|' /C calc'!A0,chitra@x.edu",
            "dev,Dev,not-an-address",
            "asha,Again,asha@x.edu",
            "eka,Eka",
            ",Nobody,",
        ) == [
            (3, "username"),
            (4, "name"),
            (5, "email"),
            (6, "username"),
            (6, "email"),
            (7, ""),
            (8, "username"),
        ]

    @pytest.mark.parametrize("text", ["=1", "+1 2", "-x", "@a", "\t=1"])
    def test_takes_no_formula(self, text: str) -> None:
        assert (2, "alias") in _errors("username,alias", f'asha,"{text}"') or text.strip() == text

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\r\n\r\n",
            b"PK\x03\x04zip",
            b"\xff\x00\xfe",
            b"username\x00,name\r\na,b",
            b"first,second\r\na,b",
            b"username,username\r\na,b",
            b'username,name\r\n"a,b',
            b"x" * (roster.BYTES_MAX + 1),
            b"username\r\n" + b"\r\n".join(b"s%d" % n for n in range(roster.ROWS_MAX + 1)),
        ],
    )
    def test_refuses_what_is_no_roster(self, data: bytes) -> None:
        with pytest.raises(roster.InvalidRoster):
            roster.parse(data)

    @given(data=st.binary(max_size=300))
    @settings(deadline=None)
    def test_answers_any_bytes(self, data: bytes) -> None:
        try:
            read = roster.parse(data)
        except roster.InvalidRoster:
            return
        assert all(error.line >= 1 for error in read.errors)


@pytest.mark.django_db
class TestApply:
    data = _csv(
        "username,name,email,is_staff,is_superuser", "asha,Asha Rao,a@x.edu,1,1", "bina,,,,"
    )

    def _apply(self, **fields: object) -> enrolment.Imported:
        return enrolment.apply(
            **{
                "data": self.data,
                "contest": None,
                "join": False,
                "actor": user("staff", is_staff=True),
                "reason": "New term.",
                "at": AT,
                **fields,
            }  # type: ignore[arg-type]
        )

    def test_makes_accounts_that_can_sign_in_and_nothing_more(self) -> None:
        done = self._apply()
        assert (done.created, done.updated) == (2, 0)
        asha = User.objects.get(username="asha")
        assert (asha.is_staff, asha.is_superuser) == (False, False)
        [first, _] = done.credentials
        assert asha.check_password(first.password)
        asha.refresh_from_db()
        assert asha.password.startswith("argon2")  # hashed anew at the first use

    def test_puts_them_on_the_contests_roster_and_in(self) -> None:
        where = contest(audience="ROSTER")
        done = self._apply(contest=where, join=True)
        assert done.joined == 2
        assert Invitation.objects.filter(contest=where).count() == 2
        assert Portfolio.objects.filter(contest=where, left_at__isnull=True).count() == 2
        again = self._apply(contest=where, join=True)
        assert (again.created, again.updated, again.joined) == (0, 2, 0)

    def test_imports_nothing_when_one_line_is_wrong(self) -> None:
        with pytest.raises(enrolment.RosterHasErrors):
            self._apply(data=_csv("username,email", "asha,a@x.edu", "bad name,b@x.edu"))
        assert not User.objects.filter(username="asha").exists()

    def test_touches_no_staff_account(self) -> None:
        boss = user("boss", is_staff=True)
        seen = enrolment.preview(data=_csv("username,name", f"{boss.username},New Name"))
        assert [(e.line, e.column) for e in seen.errors] == [(2, "username")]
        assert not seen.importable

    def test_gives_no_email_of_another(self) -> None:
        user("carol", email="c@x.edu")
        seen = enrolment.preview(data=_csv("username,email", "mallory,c@x.edu"))
        assert [(e.line, e.column) for e in seen.errors] == [(2, "email")]

    def test_asks_why_and_keeps_it(self) -> None:
        with pytest.raises(ReasonRequired):
            self._apply(reason=" ")
        assert not User.objects.filter(username="asha").exists()
        self._apply()
        entry = AuditEntry.objects.get(action="roster.import")
        assert entry.after["created"] == ["asha", "bina"]
        assert not any(c in str(entry.after) for c in ("argon2", "pbkdf2"))

    def test_keeps_the_password_of_known_accounts(self) -> None:
        before = user("dev")
        User.objects.filter(pk=before.pk).update(username="dev", password="kept")
        done = self._apply(data=_csv("username,name", "dev,Dev Anand"))
        dev = User.objects.get(username="dev")
        assert (dev.password, dev.first_name, done.credentials) == ("kept", "Dev", ())


@pytest.mark.django_db
def test_an_exported_roster_is_read_again_as_it_was() -> None:
    where = contest()
    TestApply()._apply(contest=where)
    text = as_csv(header=enrolment.ROSTER_HEADER, rows=enrolment.export_rows(contest=where))
    assert len(list(csv.reader(io.StringIO(text)))) == 3
    seen = enrolment.preview(data=text.encode(), contest=where)
    assert (seen.created, seen.updated, seen.errors) == ((), ("asha", "bina"), ())
