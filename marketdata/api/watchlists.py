"""The caller's watchlists."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from marketdata import selectors, watchlists
from marketdata.models import Watchlist
from mockmarket.core.api.fields import RequestSerializer
from mockmarket.core.api.idempotency import idempotent
from mockmarket.core.api.schema import PAGED, page_serializer
from mockmarket.core.api.views import ApiView


class WatchlistInput(RequestSerializer):
    name = serializers.CharField(max_length=40)


class WatchlistChanges(RequestSerializer):
    name = serializers.CharField(max_length=40, required=False)
    instruments = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        max_length=100,
        help_text="A new order of the list; what is not named keeps its order at the end.",
    )


class ItemInput(RequestSerializer):
    instrument_key = serializers.CharField(max_length=64)


class WatchlistOutput(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField()
    instruments = serializers.ListField(child=serializers.CharField(), help_text="Keys, in order.")


def render(row: Watchlist) -> dict[str, Any]:
    """A list with the keys on it."""
    return {
        "id": row.pk,
        "name": row.name,
        "instruments": [found.key for found in watchlists.instruments(watchlist=row)],
    }


class WatchlistsView(ApiView):
    """`GET, POST /watchlists/`."""

    @extend_schema(
        operation_id="list_watchlists",
        summary="The caller's watchlists",
        parameters=PAGED,
        responses=page_serializer(WatchlistOutput),
    )
    def get(self, request: Request) -> Response:
        """In their order."""
        return self.page_items(items=watchlists.lists(user=self.caller), render=render)

    @extend_schema(
        operation_id="create_watchlist",
        summary="Create a watchlist",
        request=WatchlistInput,
        responses={201: WatchlistOutput},
    )
    @idempotent()
    def post(self, request: Request) -> Response:
        """An empty list; names are unique."""
        row = watchlists.create(user=self.caller, name=self.read(WatchlistInput)["name"])
        return Response(render(row), status=201)


class _OneWatchlist(ApiView):
    def found(self, watchlist_id: int) -> Watchlist:
        """The caller's own list; raises NotFound."""
        return watchlists.access(user=self.caller, watchlist_id=watchlist_id)


class WatchlistView(_OneWatchlist):
    """`GET, PATCH, DELETE /watchlists/{id}/`."""

    @extend_schema(operation_id="get_watchlist", summary="One watchlist", responses=WatchlistOutput)
    def get(self, request: Request, watchlist_id: int) -> Response:
        """With the keys on it."""
        return Response(render(self.found(watchlist_id)))

    @extend_schema(
        operation_id="change_watchlist",
        summary="Rename or reorder a watchlist",
        request=WatchlistChanges,
        responses={200: WatchlistOutput},
    )
    def patch(self, request: Request, watchlist_id: int) -> Response:
        """What is left out stays."""
        row, given = self.found(watchlist_id), self.read(WatchlistChanges)
        if "name" in given:
            watchlists.rename(watchlist=row, name=given["name"])
        if "instruments" in given:
            watchlists.reorder(watchlist=row, keys=given["instruments"])
        return Response(render(row))

    @extend_schema(
        operation_id="delete_watchlist", summary="Delete a watchlist", responses={204: None}
    )
    def delete(self, request: Request, watchlist_id: int) -> Response:
        """With its items."""
        watchlists.delete(watchlist=self.found(watchlist_id))
        return Response(status=204)


class ItemsView(_OneWatchlist):
    """`POST /watchlists/{id}/items/`."""

    @extend_schema(
        operation_id="add_to_watchlist",
        summary="Put an instrument on a watchlist",
        request=ItemInput,
        responses={201: WatchlistOutput},
    )
    @idempotent()
    def post(self, request: Request, watchlist_id: int) -> Response:
        """At its end; adding what is there changes nothing."""
        row = self.found(watchlist_id)
        found = selectors.instrument(self.read(ItemInput)["instrument_key"])
        watchlists.add(user=self.caller, instrument=found, watchlist=row)
        return Response(render(row), status=201)


class ItemView(_OneWatchlist):
    """`DELETE /watchlists/{id}/items/{key}/`."""

    @extend_schema(
        operation_id="remove_from_watchlist",
        summary="Take an instrument off a watchlist",
        responses={204: None},
    )
    def delete(self, request: Request, watchlist_id: int, key: str) -> Response:
        """Nothing happens when it is not there."""
        watchlists.remove(watchlist=self.found(watchlist_id), instrument_key=key)
        return Response(status=204)
