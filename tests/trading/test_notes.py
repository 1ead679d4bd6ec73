"""The contract note adds up to the ledger, on paper too."""

import csv
import io
import re
import zlib
from decimal import Decimal

from django.test import Client

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
    assert written(notes.as_pdf(note)) >= {"Charges in all", f"{note.bought:,.2f}"}
    assert notes.note_dates(portfolio=portfolio(alice)) == [floor.now.date()]


def written(pdf: bytes) -> set[str]:
    """The texts of a page."""
    assert pdf.startswith(b"%PDF-")
    streams = re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)
    return set(re.findall(r"\((.*?)\) Tj", zlib.decompress(streams[0]).decode("latin-1")))


def test_a_note_groups_digits_as_in_india_and_names_whom_it_can_write(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    alice.first_name = "आलिया"
    alice.save()
    floor.tick(acme, 100.0, asks=[(100.0, 5000)])
    floor.buy(alice, acme, 5000)
    note = notes.contract_note(portfolio=portfolio(alice), session_date=floor.now.date())
    found = written(notes.as_pdf(note))
    assert {"5,000", "100.00", "5,00,000.00"} <= found
    assert "Net paid" in found
    assert sum(text.startswith("5,00,") for text in found) == 2  # bought, and paid
    assert "alice, Practice" in found


def test_an_order_leads_to_the_note_of_its_day(
    floor: Floor, alice: User, acme: Instrument, client: Client
) -> None:
    floor.tick(acme, 100.0, asks=[(100.05, 30)])
    order = floor.buy(alice, acme, 10)
    client.force_login(alice)
    page = client.get(f"/orders/{order.pk}/").content.decode()
    (address,) = re.findall(r'href="(/api/v1/contract-notes/[^"]+)"', page)
    assert "ACME" in written(client.get(address).content)


def test_a_symbol_is_no_formula(floor: Floor, alice: User) -> None:
    evil = share("=CMD()")
    floor.tick(evil, 100.0, previous_close=100.0)
    floor.buy(alice, evil, 1)
    note = notes.contract_note(portfolio=portfolio(alice), session_date=floor.now.date())
    assert list(csv.reader(io.StringIO(notes.as_csv(note))))[1][2] == "'=CMD()"
