"""The contract note of one portfolio and one day: every fill with its charges, to the paisa.

`contract_note` reads, `as_csv` and `as_pdf` render. Lines are the fills' own stored charges, so
the note adds up to the ledger and not to a second computation.
"""

import csv
import io
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from fpdf import FPDF
from fpdf.enums import XPos, YPos

from mockmarket.core import formats
from mockmarket.core.clock import IST
from mockmarket.core.money import ZERO, money
from portfolios.models import Portfolio
from trading import charges
from trading.models import Fill

LINE_NAMES = {
    "brokerage": "Brokerage",
    "stt": "Securities transaction tax",
    "exchange": "Exchange charges",
    "sebi": "SEBI fee",
    "stamp_duty": "Stamp duty",
    "gst": "GST",
    "depository": "Depository charge",
}


@dataclass(frozen=True, slots=True)
class NoteLine:
    """One fill as the note lists it. Rupees; `net` is what it moved in cash, signed, as if paid
    in full."""

    filled_at: datetime
    order_id: str
    symbol: str
    isin: str
    side: str
    product: str
    quantity: int
    price: Decimal
    value: Decimal
    charges: Decimal
    net: Decimal


@dataclass(frozen=True, slots=True)
class Note:
    """A day's fills with totals. `charge_lines` by the names of trading.charges.LINES."""

    number: str
    holder: str
    username: str
    contest: str
    slug: str
    session_date: date
    lines: tuple[NoteLine, ...]
    bought: Decimal
    sold: Decimal
    charge_lines: dict[str, Decimal]
    charges: Decimal
    net: Decimal


def contract_note(*, portfolio: Portfolio, session_date: date) -> Note:
    """The note of a day in India's calendar; without lines where nothing filled."""
    start = datetime.combine(session_date, datetime.min.time(), IST)
    found = (
        Fill.objects.filter(
            order__portfolio=portfolio, filled_at__gte=start, filled_at__lt=start + timedelta(1)
        )
        .select_related("order__instrument")
        .order_by("ledger_seq")
    )
    totals = dict.fromkeys(charges.LINES, ZERO)
    lines: list[NoteLine] = []
    for fill in found:
        for name, text in fill.charge_lines.items():
            totals[name] += Decimal(text)
        lines.append(_line(fill))
    bought = sum((line.value for line in lines if line.side == "BUY"), ZERO)
    sold = sum((line.value for line in lines if line.side == "SELL"), ZERO)
    paid = sum((line.charges for line in lines), ZERO)
    return Note(
        number=number(portfolio=portfolio, session_date=session_date),
        holder=portfolio.user.get_full_name() or portfolio.user.username,
        username=portfolio.user.username,
        contest=portfolio.contest.name,
        slug=portfolio.contest.slug,
        session_date=session_date,
        lines=tuple(lines),
        bought=bought,
        sold=sold,
        charge_lines=totals,
        charges=paid,
        net=sold - bought - paid,
    )


def number(*, portfolio: Portfolio, session_date: date) -> str:
    """What a note is called by."""
    return f"{portfolio.pk:06d}-{session_date:%Y%m%d}"


def note_dates(*, portfolio: Portfolio) -> list[date]:
    """Days with fills, newest first."""
    times = Fill.objects.filter(order__portfolio=portfolio).order_by("-filled_at")
    days = (at.astimezone(IST).date() for at in times.values_list("filled_at", flat=True))
    return [day for day, _ in groupby(days)]


def _line(fill: Fill) -> NoteLine:
    order = fill.order
    value = money(fill.price * fill.quantity)
    return NoteLine(
        filled_at=fill.filled_at,
        order_id=str(order.pk),
        symbol=order.instrument.symbol,
        isin=order.instrument.isin,
        side=order.side,
        product=order.product,
        quantity=fill.quantity,
        price=fill.price,
        value=value,
        charges=fill.charges,
        net=(-value if order.buy else value) - fill.charges,
    )


def as_csv(note: Note) -> str:
    """The note as CSV: a row a fill, then a row a charge line and the totals."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(
        ["time", "order", "symbol", "isin", "side", "product", "quantity", "price", "value",
         "charges", "net"]
    )  # fmt: skip
    for line in note.lines:
        rows.writerow(
            [
                line.filled_at.astimezone(IST).isoformat(timespec="seconds"),
                line.order_id,
                safe_cell(line.symbol),
                line.isin,
                line.side,
                line.product,
                line.quantity,
                line.price,
                line.value,
                line.charges,
                line.net,
            ]
        )
    for name, amount in note.charge_lines.items():
        rows.writerow([LINE_NAMES[name], *[""] * 8, amount, ""])
    rows.writerow(["Total", *[""] * 8, note.charges, note.net])
    return out.getvalue()


def safe_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text[:1] in "=+-@\t\r" else text


def as_pdf(note: Note) -> bytes:
    """The note as a PDF page (or several)."""
    pdf = FPDF(orientation="landscape", format="A4")
    pdf.set_title(f"Contract note {note.number}")
    pdf.set_creation_date(datetime.combine(note.session_date, datetime.min.time(), IST))
    pdf.add_page()
    pdf.set_font("Helvetica", "B", 15)
    pdf.cell(0, 9, "Contract note", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("Helvetica", "", 10)
    pdf.multi_cell(
        0,
        5,
        _latin(
            f"No. {note.number}, {note.session_date:%d %B %Y}\n"
            f"{_latin_or(note.holder, note.username)}, {_latin_or(note.contest, note.slug)}\n"
            "Simulated trading with play money. All amounts in rupees."
        ),
        new_x=XPos.LMARGIN,
        new_y=YPos.NEXT,
    )
    pdf.ln(3)
    _table(pdf, note)
    pdf.ln(3)
    for name, amount in [
        *((LINE_NAMES[name], amount) for name, amount in note.charge_lines.items()),
        ("Charges in all", note.charges),
        ("Bought", note.bought),
        ("Sold", note.sold),
        ("Net", note.net),
    ]:
        pdf.cell(60, 5, _latin(name))
        pdf.cell(30, 5, _number(amount), align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    return bytes(pdf.output())


def _table(pdf: FPDF, note: Note) -> None:
    pdf.set_font("Helvetica", "", 9)
    heads = ("Time", "Share", "ISIN", "Side", "Product", "Quantity", "Price", "Value", "Charges")
    widths = (20, 45, 30, 14, 18, 22, 26, 32, 24)
    with pdf.table(col_widths=widths, text_align=("LEFT",) * 5 + ("RIGHT",) * 4) as table:
        table.row(heads)
        for line in note.lines:
            table.row(
                (
                    f"{line.filled_at.astimezone(IST):%H:%M:%S}",
                    _latin(line.symbol),
                    line.isin,
                    line.side,
                    line.product,
                    _number(line.quantity, places=0),
                    _number(line.price, places=4).removesuffix("00"),
                    _number(line.value),
                    _number(line.charges),
                )
            )


def _number(value: Decimal | int, *, places: int = 2) -> str:
    """Grouped as in India, with a minus that the built-in fonts know."""
    return formats.number(value, places=places).replace("\N{MINUS SIGN}", "-")


def _latin_or(text: str, other: str) -> str:
    """A name, or where the built-in fonts cannot write it, the one in Latin letters."""
    return text if _latin(text) == text else other


def _latin(text: str) -> str:
    """The built-in fonts know Latin-1 only."""
    return text.encode("latin-1", "replace").decode("latin-1")
