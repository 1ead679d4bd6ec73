"""The contract note adds up to the ledger, on paper too."""

import csv
import io
from decimal import Decimal

from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios.models import Posting
from tests.trading.floor import Floor, portfolio, share
from trading import notes


def test_a_note_adds_up_to_the_ledger(floor: Floor, alice: User, acme: Instrument) -> None:
    floor.tick(acme, 100.0, asks=[(100.05, 30), (100.1, 100)])
    floor.buy(alice, acme, 50)
    floor.sell(alice, acme, 20)
    note = notes.contract_note(portfolio=portfolio(alice), session_date=floor.now.date())
    posted = sum(
        posting.amount
        for posting in Posting.objects.filter(portfolio=portfolio(alice), account="CHARGES")
    )
    assert len(note.lines) == 3
    assert note.charges == sum(note.charge_lines.values()) == posted
    assert note.net == note.sold - note.bought - note.charges
    assert portfolio(alice).cash == Decimal(1_000_000) + note.net
    rows = list(csv.reader(io.StringIO(notes.as_csv(note))))
    assert rows[-1][0] == "Total"
    assert Decimal(rows[-1][-1]) == note.net
    assert notes.as_pdf(note).startswith(b"%PDF-")
    assert notes.note_dates(portfolio=portfolio(alice)) == [floor.now.date()]


def test_a_symbol_is_no_formula(floor: Floor, alice: User) -> None:
    evil = share("=CMD()")
    floor.tick(evil, 100.0, previous_close=100.0)
    floor.buy(alice, evil, 1)
    note = notes.contract_note(portfolio=portfolio(alice), session_date=floor.now.date())
    assert list(csv.reader(io.StringIO(notes.as_csv(note))))[1][2] == "'=CMD()"
