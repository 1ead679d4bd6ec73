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
from fpdf.fonts import FontFace

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
# Of the PDF: rules between rows, and what is read last.
_LINE = (205, 206, 214)
_QUIET = (96, 100, 108)


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
    pdf.set_margin(15)
    pdf.set_draw_color(*_LINE)
    pdf.add_page()
    _head(pdf, note)
    _table(pdf, note)
    pdf.ln(4)
    _totals(pdf, note)
    return bytes(pdf.output())


def _head(pdf: FPDF, note: Note) -> None:
    """Whose note it is on the left, which one on the right."""
    pdf.set_font("Helvetica", "B", 17)
    pdf.cell(pdf.epw / 2, 9, "Contract note")
    pdf.set_font("Helvetica", "B", 11)
    pdf.cell(0, 9, f"No. {note.number}", align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_font("Helvetica", "", 11)
    whose = f"{_latin_or(note.holder, note.username)}, {_latin_or(note.contest, note.slug)}"
    pdf.cell(pdf.epw / 2, 6, _latin(whose))
    pdf.cell(0, 6, f"{note.session_date:%d %B %Y}", align="R", new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    pdf.set_text_color(*_QUIET)
    pdf.set_font("Helvetica", "", 9)
    pdf.cell(
        0, 6, "Simulated trading with play money at MockMarket. Times are IST, amounts rupees.",
        new_x=XPos.LMARGIN, new_y=YPos.NEXT,
    )  # fmt: skip
    pdf.set_text_color(0)
    pdf.ln(4)


def _table(pdf: FPDF, note: Note) -> None:
    pdf.set_font("Helvetica", "", 9)
    heads = ("Time", "Share", "ISIN", "Side", "Product", "Quantity", "Price", "Value", "Charges")
    with pdf.table(
        col_widths=(20, 45, 32, 14, 18, 22, 26, 32, 24),
        text_align=("LEFT",) * 5 + ("RIGHT",) * 4,
        borders_layout="HORIZONTAL_LINES",
        line_height=7,
        headings_style=FontFace(emphasis="BOLD", color=_QUIET),
    ) as table:
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


def _totals(pdf: FPDF, note: Note) -> None:
    """Under the table's right end; a block of few lines stays on one page."""
    parts = [(LINE_NAMES[name], amount) for name, amount in note.charge_lines.items()]
    sums = (
        ("Charges in all", note.charges), ("Bought", note.bought), ("Sold", note.sold),
        ("Net paid" if note.net < 0 else "Net received", abs(note.net)),
    )  # fmt: skip
    with pdf.unbreakable() as block:
        for number, (name, amount) in enumerate([*parts, *sums]):
            of_sums = number >= len(parts)
            block.set_font("Helvetica", "B" if of_sums else "", 9)
            block.set_x(block.w - block.r_margin - 90)
            border = "T" if name in {"Charges in all", sums[-1][0]} else 0
            block.cell(60, 6, name, border=border)
            block.cell(
                30, 6, _number(amount), border=border, align="R",
                new_x=XPos.LMARGIN, new_y=YPos.NEXT,
            )  # fmt: skip


def _number(value: Decimal | int, *, places: int = 2) -> str:
    """Grouped as in India, with a minus that the built-in fonts know."""
    return formats.number(value, places=places).replace("\N{MINUS SIGN}", "-")


def _latin_or(text: str, other: str) -> str:
    """A name, or where the built-in fonts cannot write it, the one in Latin letters."""
    return text if _latin(text) == text else other


def _latin(text: str) -> str:
    """The built-in fonts know Latin-1 only."""
    return text.encode("latin-1", "replace").decode("latin-1")
