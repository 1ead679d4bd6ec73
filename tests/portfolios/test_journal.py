"""Notes: one's own, filtered, and what was said with an order stays."""

import uuid
from datetime import timedelta

import pytest

from portfolios import journal, services
from portfolios.models import Portfolio
from tests.portfolios.support import AT, instrument, user

pytestmark = pytest.mark.django_db


@pytest.fixture
def own() -> Portfolio:
    return services.ensure_practice(user=user("alice"), at=AT)


class TestWrite:
    def test_keeps_text_and_tags_tidy(self, own: Portfolio) -> None:
        note = journal.write(portfolio=own, text="  Broke out. ", tags=["News", "news "], at=AT)
        assert (note.text, note.tags, note.kind) == ("Broke out.", ["news"], "NOTE")

    @pytest.mark.parametrize(
        ("text", "tags"),
        [("", []), (" ", []), ("x" * 2001, []), ("ok", ["<b>"]), ("ok", ["a" * 31])],
    )
    def test_refuses_what_is_no_note(self, own: Portfolio, text: str, tags: list[str]) -> None:
        with pytest.raises(journal.InvalidNote):
            journal.write(portfolio=own, text=text, tags=tags, at=AT)


class TestOfOrder:
    def test_cannot_be_rewritten_afterwards(self, own: Portfolio) -> None:
        note = journal.of_order(
            portfolio=own, instrument=instrument("ACME"), order_id=uuid.uuid4(),
            reason="Cheap.", closing=False, at=AT,
        )  # fmt: skip
        assert note is not None
        assert note.kind == "ENTRY"
        with pytest.raises(journal.InvalidNote):
            journal.rewrite(portfolio=own, note_id=note.pk, text="I knew it.", tags=[], at=AT)
        with pytest.raises(journal.InvalidNote):
            journal.remove(portfolio=own, note_id=note.pk)

    def test_is_nothing_without_a_reason(self, own: Portfolio) -> None:
        made = journal.of_order(
            portfolio=own, instrument=instrument("ACME"), order_id=uuid.uuid4(),
            reason=" ", closing=True, at=AT,
        )  # fmt: skip
        assert made is None


class TestOwnership:
    def test_nobody_changes_anothers(self, own: Portfolio) -> None:
        note = journal.write(portfolio=own, text="Mine.", at=AT)
        other = services.ensure_practice(user=user("mallory"), at=AT)
        with pytest.raises(journal.NoNote):
            journal.rewrite(portfolio=other, note_id=note.pk, text="Hers.", tags=[], at=AT)
        with pytest.raises(journal.NoNote):
            journal.remove(portfolio=other, note_id=note.pk)
        assert list(journal.notes(portfolio=other)) == []


class TestNotes:
    def test_are_filtered_newest_first(self, own: Portfolio) -> None:
        acme = instrument("ACME")
        journal.write(portfolio=own, text="On news.", tags=["news"], instrument=acme, at=AT)
        later = AT + timedelta(minutes=1)
        journal.write(portfolio=own, text="Too late.", tags=["newsletter"], at=later)
        found = [note.text for note in journal.notes(portfolio=own)]
        assert found == ["Too late.", "On news."]
        assert [n.text for n in journal.notes(portfolio=own, tag="news")] == ["On news."]
        assert [n.text for n in journal.notes(portfolio=own, symbol="acme")] == ["On news."]
        assert [n.text for n in journal.notes(portfolio=own, search="late")] == ["Too late."]
        assert journal.tags_of(portfolio=own) == [("news", 1), ("newsletter", 1)]

    def test_can_be_rewritten(self, own: Portfolio) -> None:
        note = journal.write(portfolio=own, text="Frist.", at=AT)
        later = AT + timedelta(minutes=1)
        journal.rewrite(portfolio=own, note_id=note.pk, text="First.", tags=["mistake"], at=later)
        [kept] = journal.notes(portfolio=own, tag="mistake")
        assert (kept.text, kept.updated_at) == ("First.", later)
