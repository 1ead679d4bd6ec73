"""The base of every REST view: one class an operation, input parsed, one call inward, rendered."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.permissions import SAFE_METHODS, AllowAny, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from mockmarket.core import throttle, tokens
from mockmarket.core.api.auth import HasScope
from mockmarket.core.api.pagination import CursorPages, page_of
from mockmarket.core.errors import NotFound
from mockmarket.core.models import User

M = TypeVar("M", bound=Model)
T = TypeVar("T")

Render = Callable[[Any], Mapping[str, Any]]


class ApiView(APIView):
    """Sign-in required, scope checked, throttled per user and token.

    `bucket` names the throttle of unsafe methods; reads always count as reads.
    """

    permission_classes = [IsAuthenticated, HasScope]
    bucket = "reads"

    @property
    def caller(self) -> User:
        """The signed-in user; permission_classes let nobody else in."""
        user = self.request.user
        if not isinstance(user, User):
            raise exceptions.NotAuthenticated
        return user

    @property
    def token_id(self) -> int | None:
        """The API token that the request came with; None for sessions and JWTs."""
        credential = self.request.auth
        return credential.token_id if isinstance(credential, tokens.Credential) else None

    def check_throttles(self, request: Request) -> None:
        if not request.user.is_authenticated:
            throttle.take_read(identity=f"address:{request.META.get('REMOTE_ADDR', '')}")
        elif self.bucket == "orders" and request.method not in SAFE_METHODS:
            throttle.take_order(user_id=self.caller.pk, token_id=self.token_id)
        else:
            throttle.take_read(identity=f"user:{self.caller.pk}", token_id=self.token_id)

    def http_method_not_allowed(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        raise exceptions.MethodNotAllowed(str(request.method))

    def options(  # type: ignore[override]
        self, request: Request, *args: Any, **kwargs: Any
    ) -> Response:
        """Descriptions are in the schema; a browser's preflight gets the methods alone."""
        return Response(status=204, headers={"Allow": ", ".join(self.allowed_methods)})

    def read(
        self, serializer: type[serializers.Serializer[Any]], *, source: str = "body"
    ) -> dict[str, Any]:
        """The request's body (or "query") as validated by `serializer`."""
        # A plain dict: an empty parameter is a value to judge, not one that was left out.
        data: Any = self.request.query_params.dict() if source == "query" else self.request.data
        form = serializer(data=data, context={"request": self.request})
        form.is_valid(raise_exception=True)
        return dict(form.validated_data)

    def page(self, *, queryset: QuerySet[M], ordering: str, render: Render) -> Response:
        """One cursor page of a query set, each row by `render`."""
        pages = CursorPages()
        rows = pages.rows(queryset=queryset, request=self.request, ordering=ordering)
        return self._page(
            rows=map(render, rows),
            following=pages.get_next_link(),
            previous=pages.get_previous_link(),
        )

    def page_items(self, *, items: Sequence[Any] | QuerySet[Any], render: Render) -> Response:
        """One cursor page of a sequence in memory, or of rows that do not change."""
        rows, following, previous = page_of(items=items, request=self.request)
        return self._page(rows=map(render, rows), following=following, previous=previous)

    def _page(
        self, *, rows: Iterable[Mapping[str, Any]], following: str | None, previous: str | None
    ) -> Response:
        wanted = self.sparse()
        results = [reduced(row, wanted) for row in rows]
        return Response({"results": results, "next": following, "previous": previous})

    def one(self, body: Mapping[str, Any], *, status: int = 200) -> Response:
        """A single object, reduced to `?fields=` where that is given."""
        return Response(reduced(body, self.sparse()), status=status)

    def sparse(self) -> frozenset[str]:
        """The names of `?fields=a,b`; empty means all."""
        text = self.request.query_params.get("fields", "")
        return frozenset(name.strip() for name in text.split(",") if name.strip())


def reduced(row: Mapping[str, Any], wanted: frozenset[str]) -> Mapping[str, Any]:
    """Only the wanted fields; all where none are named. Raises ValidationError for others."""
    if not wanted:
        return row
    if unknown := sorted(wanted - row.keys()):
        raise exceptions.ValidationError({"fields": [f"There is no field {unknown[0]!r}."]})
    return {name: row[name] for name in row if name in wanted}


@extend_schema(exclude=True)
class UnknownAddress(ApiView):
    """Every address under /api/ that nothing else answers."""

    permission_classes = [AllowAny]
    authentication_classes = []

    def _refuse(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise NotFound("There is no such address in this API.")

    get = post = put = patch = delete = _refuse
