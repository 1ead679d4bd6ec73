"""Contract notes: a day's fills with their charges, as JSON, CSV and PDF."""

import dataclasses
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core.api.fields import Instant, Money, Price, price_text
from mockmarket.core.api.schema import FIELDS, PAGED, page_serializer
from mockmarket.core.errors import NotFound
from portfolios.api.portfolio import ContestQuery, PortfolioView
from portfolios.models import Position
from trading import notes
from trading.models import Order


class NoNote(NotFound):
    """Nothing filled on that day."""

    code = "no_contract_note"


class ContractNoteDateOutput(serializers.Serializer[Any]):
    session_date = serializers.DateField()
    number = serializers.CharField()


class ContractNoteLineOutput(serializers.Serializer[Any]):
    filled_at = Instant()
    order_id = serializers.UUIDField()
    symbol = serializers.CharField()
    isin = serializers.CharField()
    side = serializers.ChoiceField(Order.Side.choices)
    product = serializers.ChoiceField(Position.Product.choices)
    quantity = serializers.IntegerField()
    price = Price()
    value = Money()
    charges = Money()
    net = Money(help_text="What it moved in cash, signed, as if paid in full.")


class ContractNoteOutput(serializers.Serializer[Any]):
    number = serializers.CharField()
    holder = serializers.CharField()
    contest = serializers.CharField()
    session_date = serializers.DateField()
    lines = ContractNoteLineOutput(many=True)
    bought = Money()
    sold = Money()
    charge_lines = serializers.DictField(child=serializers.CharField())
    charges = Money()
    net = Money()


def render_line(row: notes.NoteLine) -> Mapping[str, Any]:
    """One fill of a note."""
    body = dataclasses.asdict(row)
    body["price"] = price_text(row.price)
    body.update((name, f"{body[name]:.2f}") for name in ("value", "charges", "net"))
    return body


def render(found: notes.Note) -> Mapping[str, Any]:
    """A note with its lines and totals."""
    body: dict[str, Any] = {
        field.name: getattr(found, field.name) for field in dataclasses.fields(found)
    }
    body.update((name, f"{body[name]:.2f}") for name in ("bought", "sold", "charges", "net"))
    body["charge_lines"] = {name: f"{value:.2f}" for name, value in found.charge_lines.items()}
    body["lines"] = [render_line(line) for line in found.lines]
    return body


class NotesView(PortfolioView):
    """`GET /contract-notes/`."""

    @extend_schema(
        operation_id="list_contract_notes",
        summary="Days with a contract note",
        parameters=[ContestQuery, *PAGED],
        responses=page_serializer(ContractNoteDateOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first: every day on which something filled."""
        portfolio = self.portfolio()
        return self.page_items(
            items=notes.note_dates(portfolio=portfolio),
            render=lambda day: {
                "session_date": day,
                "number": notes.number(portfolio=portfolio, session_date=day),
            },
        )


class _OneNote(PortfolioView):
    def note(self, session_date: date) -> notes.Note:
        """Raises NoPortfolio, NoNote."""
        found = notes.contract_note(portfolio=self.portfolio(), session_date=session_date)
        if not found.lines:
            raise NoNote(f"Nothing filled on {session_date}.")
        return found

    def file(self, found: notes.Note, content: str | bytes, kind: str) -> HttpResponse:
        """`content` under the note's number."""
        answer = HttpResponse(content, content_type=kind)
        suffix = "pdf" if kind.endswith("pdf") else "csv"
        answer["Content-Disposition"] = f'attachment; filename="note-{found.number}.{suffix}"'
        return answer


class NoteView(_OneNote):
    """`GET /contract-notes/{date}/`."""

    @extend_schema(
        operation_id="get_contract_note",
        summary="One day's contract note",
        parameters=[ContestQuery, FIELDS],
        responses=ContractNoteOutput,
    )
    def get(self, request: Request, session_date: date) -> Response:
        """Every fill with its charges to the paisa, and totals that add up to the ledger."""
        return self.one(render(self.note(session_date)))


class NoteCsvView(_OneNote):
    """`GET /contract-notes/{date}/csv/`."""

    @extend_schema(
        operation_id="get_contract_note_csv",
        summary="One day's contract note as CSV",
        parameters=[ContestQuery],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, session_date: date) -> HttpResponse:
        """A row a fill, then a row a kind of charge and the total."""
        found = self.note(session_date)
        return self.file(found, notes.as_csv(found), "text/csv")


class NotePdfView(_OneNote):
    """`GET /contract-notes/{date}/pdf/`."""

    @extend_schema(
        operation_id="get_contract_note_pdf",
        summary="One day's contract note as PDF",
        parameters=[ContestQuery],
        responses={(200, "application/pdf"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, session_date: date) -> HttpResponse:
        """For print."""
        found = self.note(session_date)
        return self.file(found, notes.as_pdf(found), "application/pdf")
