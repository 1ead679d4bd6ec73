"""A contest's end: frozen once, the same whenever it is derived, checked by its code."""

import csv
import io
from decimal import Decimal

import pytest
from django.db import DatabaseError, transaction
from openpyxl import load_workbook

from marketdata.models import Instrument, LastPrice
from mockmarket.core.models import User
from portfolios import results, services, standings, tables
from portfolios.models import Contest, ContestClosing, Invitation, Portfolio, Result
from tests.portfolios.support import AT, contest, hold, instrument, portfolio_row, user

pytestmark = pytest.mark.django_db


@pytest.fixture
def share() -> Instrument:
    return instrument("ACME", last="110")


def _member(where: Contest, name: str) -> Portfolio:
    who = user(name, alias=name, email=f"{name}@example.edu", first_name=name.title())
    return services.open_portfolio(user=who, contest=where, at=AT)


def _finish(where: Contest) -> None:
    services.change_state(
        contest=where, state="FINISHED", actor=user("staff"), reason="Term is over.", at=AT
    )


class TestDerive:
    def test_shares_ranks_and_lists_the_inactive_last(self) -> None:
        rows = [
            portfolio_row(1, cash=Decimal(900)),
            portfolio_row(2, cash=Decimal(1100)),
            portfolio_row(3, cash=Decimal(1100)),
            portfolio_row(4, cash=Decimal(5000), ranked=False),
        ]
        found = results.derive(found=rows, prices={}, at=AT)
        assert [(p.portfolio_id, p.rank, p.of) for p in found] == [
            (2, 1, 3),
            (3, 1, 3),
            (1, 3, 3),
            (4, None, 3),
        ]


class TestFreeze:
    def test_keeps_places_and_prices(self, share: Instrument) -> None:
        where = contest()
        alice, bob = _member(where, "alice"), _member(where, "bob")
        hold(bob, share, 1000, "100000.00")
        _finish(where)
        LastPrice.objects.update(last_price=Decimal(1))  # later prices change nothing
        first, second = results.results(contest=where)
        assert (first.portfolio, first.rank, first.equity) == (bob, 1, Decimal("1010000.00"))
        assert (second.portfolio, second.rank) == (alice, 2)
        assert first.return_percent == Decimal("1.0000")
        assert ContestClosing.objects.get(contest=where).prices == {share.key: "110.0000"}
        assert results.result_of(portfolio=alice).rank == 2

    def test_cannot_be_changed_by_anybody(self, share: Instrument) -> None:
        where = contest()
        _member(where, "alice")
        _finish(where)
        for attack in (
            lambda: Result.objects.filter(contest=where).update(rank=1, of=1, alias="mallory"),
            lambda: Result.objects.filter(contest=where).delete(),
            lambda: ContestClosing.objects.filter(contest=where).update(prices={}),
        ):
            with pytest.raises(DatabaseError), transaction.atomic():
                attack()

    def test_of_a_running_contest_does_not_exist(self) -> None:
        own = _member(contest(), "alice")
        with pytest.raises(results.NoResult):
            results.result_of(portfolio=own)


class TestCertificate:
    def test_is_found_by_its_code_alone(self) -> None:
        where = contest()
        own = _member(where, "alice")
        _finish(where)
        code = results.result_of(portfolio=own).code
        found = results.certificate(code=f" {code.lower()} ")
        assert (found.alias, found.rank, found.of, found.contest) == ("alice", 1, 1, where.name)
        with pytest.raises(results.NoResult):
            results.certificate(code="NOSUCHCODE99")


class TestExport:
    def test_names_everybody_in_order_before_and_after_the_end(self, share: Instrument) -> None:
        where = contest()
        _member(where, "alice")
        hold(_member(where, "bob"), share, 1000, "100000.00")
        live = results.export_rows(contest=where, at=AT)
        _finish(where)
        frozen = results.export_rows(contest=where, at=AT)
        assert [row[:12] for row in live] == [row[:12] for row in frozen]
        assert [row[4] for row in frozen] == ["bob", "alice"]
        assert len(frozen[0]) == len(results.EXPORT_HEADER)
        assert all(row[-1] for row in frozen)
        assert User.objects.filter(username=frozen[0][1]).exists()


class TestRoster:
    def test_of_a_closed_contest_lets_in_who_is_on_it(self) -> None:
        where = contest(audience="ROSTER")
        alice, bob = user("alice"), user("bob")
        Invitation.objects.create(contest=where, user=alice, created_at=AT)
        assert services.join_contest(user=alice, code=where.join_code, at=AT)
        with pytest.raises(services.ContestNotJoinable):
            services.join_contest(user=bob, code=where.join_code, at=AT)


def test_an_export_reads_back_as_what_was_frozen(share: Instrument) -> None:
    """CSV and XLSX give the same figures back; a name that a spreadsheet would run is a text."""
    where = contest()
    alice = _member(where, "alice")
    User.objects.filter(pk=alice.user_id).update(first_name="=HYPERLINK(1)")
    hold(_member(where, "bob"), share, 1000, "100000.00")
    _finish(where)
    rows = results.export_rows(contest=where, at=AT)
    text = tables.as_csv(header=results.EXPORT_HEADER, rows=rows)
    [header, *lines] = csv.reader(io.StringIO(text.removeprefix("\ufeff")))
    book = load_workbook(io.BytesIO(tables.as_xlsx(title="Class", header=header, rows=rows)))
    [_, *cells] = book.active.iter_rows(values_only=True)
    stored = results.stored(contest=where)
    for line, sheet, placing in zip(lines, cells, stored, strict=True):
        found = dict(zip(header, line, strict=True))
        assert (int(found["rank"]), Decimal(found["equity"])) == (placing.rank, placing.equity)
        assert Decimal(found["return_percent"]) == placing.return_percent
        assert found["certificate"] == Result.objects.get(portfolio=placing.portfolio_id).code
        assert (sheet[0], Decimal(str(sheet[5]))) == (placing.rank, placing.equity)
    assert any(line[2].startswith("'=HYPERLINK") for line in lines)
    assert any(str(sheet[2]).startswith("'=HYPERLINK") for sheet in cells)


def test_boards_and_certificates_leave_the_closing_prices_where_they_are(
    share: Instrument, django_assert_num_queries
) -> None:
    """Thousands of prices, once a page."""
    where = contest()
    hold(_member(where, "alice"), share, 10, "1000.00")
    _finish(where)
    with django_assert_num_queries(2) as seen:
        results.as_snapshot(contest=where)
    code = Result.objects.get().code
    with django_assert_num_queries(1) as checked:
        results.certificate(code=code)
    assert not [q for q in (*seen, *checked) if '"prices"' in q["sql"]]


def test_a_contest_that_ended_has_no_board_of_the_day(share: Instrument) -> None:
    where = contest()
    hold(_member(where, "alice"), share, 10, "1000.00")
    _finish(where)
    where.refresh_from_db()
    ranks = {
        board: [row.rank for row in standings.leaderboard(contest=where, at=AT, board=board).rows]
        for board in ("return", "day", "week")
    }
    assert ranks == {"return": [1], "day": [None], "week": [None]}
