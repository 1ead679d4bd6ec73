"""Headlines and the market's mood."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import mood, news, selectors
from marketdata.models import NewsItem
from mockmarket.core.api.fields import Instant
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView
from mockmarket.core.errors import DomainError


class NewsQuery(serializers.Serializer[Any]):
    instrument = serializers.CharField(
        default="",
        allow_blank=True,
        max_length=64,
        help_text="Only headlines that name this share.",
    )


class NewsItemOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    title = serializers.CharField()
    summary = serializers.CharField()
    link = serializers.CharField()
    source = serializers.CharField()  # type: ignore[assignment]
    published_at = Instant()
    instruments = serializers.ListField(child=serializers.CharField(), help_text="Keys it names.")


def render(row: NewsItem) -> dict[str, Any]:
    """A headline as the API shows it."""
    return {
        "id": row.pk,
        "title": row.title,
        "summary": row.summary,
        "link": row.link,
        "source": row.shown_source,
        "published_at": row.published_at,
        "instruments": [found.key for found in row.instruments.all()],
    }


class NewsView(ApiView):
    """`GET /news/`."""

    @extend_schema(
        operation_id="list_news",
        summary="Headlines",
        parameters=[NewsQuery, *PAGED],
        responses=page_serializer(NewsItemOutput),
    )
    def get(self, request: Request) -> Response:
        """Newest first; text without markup."""
        key = self.read(NewsQuery, source="query")["instrument"]
        rows = news.items(instrument=selectors.instrument(key) if key else None)
        return self.page(
            queryset=rows.prefetch_related("instruments"), ordering="-published_at", render=render
        )


class NotMeasured(DomainError):
    """It has not been measured yet, or has too short a history."""

    code = "not_measured"
    status = 404


class SentimentOutput(serializers.Serializer[Any]):
    score = serializers.FloatField(help_text="0 (fear) to 100 (greed).")
    label = serializers.CharField()  # type: ignore[assignment]
    parts = serializers.DictField(child=serializers.FloatField(allow_null=True))
    missing = serializers.ListField(child=serializers.CharField())
    formula = serializers.CharField()
    as_of = Instant()


class SentimentView(ApiView):
    """`GET /sentiment/`."""

    @extend_schema(
        operation_id="get_sentiment", summary="The market's mood", responses=SentimentOutput
    )
    def get(self, request: Request) -> Response:
        """A score of four stated parts, measured every 30 s."""
        found = mood.latest()
        if found is None:
            raise NotMeasured("The sentiment has not been measured yet.")
        return Response({name: found[name] for name in SentimentOutput().fields.keys()})  # noqa: SIM118
