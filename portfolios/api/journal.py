"""The journal: the caller's own notes, and the reasons that came with orders."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors as market
from mockmarket.core import clock
from mockmarket.core.api.fields import Instant, RequestSerializer
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import PAGED, page_serializer
from portfolios import journal, selectors
from portfolios.api.portfolio import ContestQuery, PortfolioView
from portfolios.models import JournalEntry


class JournalQuery(ContestQuery):
    kind = serializers.ChoiceField(JournalEntry.Kind.choices, required=False)
    symbol = serializers.CharField(default="", allow_blank=True, max_length=60)
    tag = serializers.CharField(default="", allow_blank=True, max_length=30)
    search = serializers.CharField(
        default="", allow_blank=True, max_length=60, help_text="Part of the text or symbol."
    )


class NoteChanges(RequestSerializer):
    text = serializers.CharField(max_length=journal.TEXT_MAX)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=30),
        default=list,
        max_length=journal.TAGS_MAX,
        help_text=f"For example {', '.join(journal.SUGGESTED_TAGS[:3])}.",
    )


class NoteInput(NoteChanges):
    instrument_key = serializers.CharField(default=None, allow_null=True, max_length=64)
    contest = serializers.CharField(default=None, allow_null=True, max_length=80)


class NoteOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(JournalEntry.Kind.choices)
    text = serializers.CharField()
    tags = serializers.ListField(child=serializers.CharField())
    instrument_key = serializers.CharField(allow_null=True)
    symbol = serializers.CharField(allow_null=True)
    order_id = serializers.UUIDField(
        allow_null=True, help_text="What was said with an order stays as it is."
    )
    created_at = Instant()
    updated_at = Instant()


class TagOutput(serializers.Serializer[Any]):
    tag = serializers.CharField()
    count = serializers.IntegerField()


EXAMPLE = OpenApiExample(
    "a remark",
    {
        "text": "Bought after the results; sell when the gap closes.",
        "tags": ["earnings"],
        "instrument_key": "NSE_EQ|INE002A01018",
    },
    request_only=True,
)


def render(row: JournalEntry) -> Mapping[str, Any]:
    """A note as the API shows it. Needs its instrument loaded."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "text": row.text,
        "tags": row.tags,
        "instrument_key": row.instrument and row.instrument.key,
        "symbol": row.instrument and row.instrument.symbol,
        "order_id": row.order_id,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
    }


class JournalView(PortfolioView):
    """`GET, POST /journal/`."""

    @extend_schema(
        operation_id="list_journal",
        summary="The caller's notes",
        parameters=[JournalQuery, *PAGED],
        responses=page_serializer(NoteOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first."""
        given = self.read(JournalQuery, source="query")
        del given["contest"]
        rows = journal.notes(portfolio=self.portfolio(), **given)
        return self.page(queryset=rows, ordering="-created_at", render=render)

    @extend_schema(
        operation_id="write_note",
        summary="Write a note",
        request=NoteInput,
        responses={201: NoteOutput},
        examples=[EXAMPLE],
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """About a share, or about nothing in particular."""
        given = self.read(NoteInput)
        key = given["instrument_key"]
        made = journal.write(
            portfolio=selectors.access_portfolio(
                user=self.caller, contest=given["contest"] or None
            ),
            text=given["text"],
            tags=given["tags"],
            instrument=market.instrument(key) if key else None,
            at=clock.now(),
        )
        return Response(render(made), status=201)


class NoteView(PortfolioView):
    """`PATCH, DELETE /journal/{id}/`."""

    @extend_schema(
        operation_id="rewrite_note",
        summary="Rewrite a note",
        parameters=[ContestQuery],
        request=NoteChanges,
        responses={200: NoteOutput},
    )
    def patch(self, request: Request, note_id: int) -> Response:
        """Text and tags; what was said with an order stays."""
        given = self.read(NoteChanges)
        note = journal.rewrite(portfolio=self.portfolio(), note_id=note_id, at=clock.now(), **given)
        return Response(render(note))

    @extend_schema(
        operation_id="delete_note",
        summary="Delete a note",
        parameters=[ContestQuery],
        responses={204: None},
    )
    def delete(self, request: Request, note_id: int) -> Response:
        """What was said with an order stays."""
        journal.remove(portfolio=self.portfolio(), note_id=note_id)
        return Response(status=204)


class TagsView(PortfolioView):
    """`GET /journal/tags/`."""

    @extend_schema(
        operation_id="list_journal_tags",
        summary="Tags of the caller's notes",
        parameters=[ContestQuery, *PAGED],
        responses=page_serializer(TagOutput),
    )
    def get(self, request: Request) -> Response:
        """Most used first."""
        return self.page_items(
            items=journal.tags_of(portfolio=self.portfolio()),
            render=lambda item: {"tag": item[0], "count": item[1]},
        )
