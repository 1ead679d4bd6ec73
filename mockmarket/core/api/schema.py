"""OpenAPI: what every operation shares is added here, so that views state only their own part."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework import serializers

from mockmarket.core.api.errors import ErrorSerializer
from mockmarket.core.api.fields import RequestSerializer
from mockmarket.core.api.pagination import PAGE_SIZE, PAGE_SIZE_MAX

FIELDS = OpenApiParameter(
    "fields", str, description="Only these fields of each object, comma-separated."
)
CURSOR = OpenApiParameter("cursor", str, description="From `next` or `previous`; opaque.")
LIMIT = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": PAGE_SIZE},
    description="Rows a page.",
)
PAGED = [CURSOR, LIMIT, FIELDS]
KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    OpenApiParameter.HEADER,
    description="A repeat with the same key and body gets the first answer, for 24 hours.",
)

_MEANING = {
    "400": "Not valid: `fields` names what is wrong.",
    "401": "No valid credential.",
    "403": "Not allowed.",
    "404": "Not there, or not yours.",
    "405": "Method not allowed.",
    "409": "Not possible in the present state.",
    "413": "Body too large.",
    "415": "Not application/json.",
    "422": "The Idempotency-Key belongs to another request.",
    "429": "Too many requests.",
    "503": "Something needed is away.",
}


class ApiSchema(AutoSchema):
    """Adds the error envelope's statuses and the idempotency header to each operation."""

    def get_override_parameters(self) -> list[Any]:
        return [KEY] if self._is_idempotent() else []

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        for status in self._refusals():
            if status not in responses:
                responses[status] = self._get_response_for_code(  # type: ignore[no-untyped-call]
                    OpenApiResponse(ErrorSerializer, description=_MEANING[status]), status
                )
        return dict(sorted(responses.items()))

    def _map_basic_serializer(
        self, serializer: Any, direction: Literal["request", "response"]
    ) -> Any:
        schema = super()._map_basic_serializer(  # type: ignore[no-untyped-call]
            serializer, direction
        )
        if isinstance(serializer, RequestSerializer):
            schema["additionalProperties"] = False
        else:
            # ENFORCE_NON_BLANK_FIELDS is meant for what comes in; an answer's text may be empty.
            for field in schema.get("properties", {}).values():
                if field.get("minLength") == 1:
                    del field["minLength"]
        return schema

    def _refusals(self) -> list[str]:
        statuses = ["400", "404", "405", "429", "503"]
        if self.get_auth():
            statuses += ["401", "403"]
        if self.method in {"POST", "PUT", "PATCH", "DELETE"}:
            statuses += ["409", "413", "415"]
        if self._is_idempotent():
            statuses.append("422")
        return statuses

    def _is_idempotent(self) -> bool:
        return bool(getattr(getattr(self.view, self.method.lower(), None), "idempotent", False))


_pages: dict[type, type[serializers.Serializer[Any]]] = {}


def page_serializer(
    row: type[serializers.Serializer[Any]],
) -> type[serializers.Serializer[Any]]:
    """The schema of a cursor page of `row`."""
    if row not in _pages:
        name = row.__name__.removesuffix("Serializer").removesuffix("Output")
        _pages[row] = type(
            f"{name}Page",
            (serializers.Serializer,),
            {
                "results": row(many=True),
                "next": serializers.URLField(allow_null=True),
                "previous": serializers.URLField(allow_null=True),
            },
        )
    return _pages[row]


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "mockmarket.core.api.auth.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "A JWT of /api/v1/auth/token/, or an API token (mm_…).",
        }


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "mockmarket.core.api.auth.BrowserAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "session",
            "description": "The browser's session; unsafe methods also send X-CSRFToken.",
        }
