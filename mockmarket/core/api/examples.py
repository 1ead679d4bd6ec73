"""Examples in the OpenAPI document: every body that has none of its own gets one by its fields.

Hand-written examples say what an operation is for and stay; these show the shape of everything
else. A test holds each against its schema.
"""

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

# What a field of this name holds; others are shown by their type.
_NAMES: Final[dict[str, Any]] = {
    "instrument_key": "NSE_EQ|INE002A01018",
    "underlying_key": "",
    "instruments": "NSE_EQ|INE002A01018",
    "members": "NSE_EQ|INE002A01018",
    "symbol": "RELIANCE",
    "name": "Reliance Industries",
    "isin": "INE002A01018",
    "exchange": "NSE",
    "segment": "NSE_EQ",
    "instrument_type": "EQ",
    "sector": "Energy",
    "contest": "practice",
    "slug": "practice",
    "contest_name": "Practice",
    "username": "student01",
    "alias": "Night Owl",
    "email": "student01@example.org",
    "client_order_id": "bot-2026-11-20-0001",
    "code": "ABC234DEF567",
    "url": "https://example.org/hook",
    "link": "https://example.org/news/1",
    "status_reason": "",
    "fired_leg": "",
    "description": "",
    "error": "",
    "next": None,
    "previous": None,
    "rank": 3,
    "of": 50,
    "quantity": 10,
    "filled_quantity": 10,
    "lot_size": 1,
    "request_id": "4816b659ab6d4068913bd85b13be4a84",
}
_FORMATS: Final = {
    "date-time": "2026-11-20T05:00:00Z",
    "date": "2026-11-20",
    "uuid": "2f1f9c1e-7d0b-4c57-9f0e-5f2a6a1f3b10",
    "decimal": "2450.50",
    "uri": "https://example.org/",
    "email": "student01@example.org",
}
_ERRORS: Final = {
    "400": ("invalid_input", "quantity: Enter a whole number.", {"quantity": "Enter a number."}),
    "401": ("not_authenticated", "Authentication credentials were not provided.", {}),
    "403": ("token_read_only", "This token may only read.", {}),
    "404": ("not_found", "There is no such thing.", {}),
    "405": ("method_not_allowed", 'Method "PUT" not allowed.', {}),
    "409": ("idempotency_in_progress", "The first request with this key goes on.", {}),
    "413": ("body_too_large", "A body may have at most 262144 bytes.", {}),
    "415": ("unsupported_media_type", 'Unsupported media type "text/plain".', {}),
    "422": ("idempotency_key_reused", "This Idempotency-Key was used for another request.", {}),
    "429": ("throttled", "Too many requests. Try again in 1 s.", {}),
    "503": (
        "service_unavailable",
        "The server is busy. Try again with the same key.",
        {},
    ),
}


def add_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook, after the whole document is made.

    A refusal is the same for every operation, so it stands once among the components: written out
    it was four fifths of the document.
    """
    components = result.setdefault("components", {})
    schemas = components.get("schemas", {})
    shared = components.setdefault("responses", {})
    for operations in result["paths"].values():
        for operation in operations.values():
            _add(operation.get("requestBody", {}), schemas)
            answers = operation["responses"]
            for status, answer in answers.items():
                if status not in _ERRORS:
                    _add(answer, schemas)
                    continue
                _add_error(answer, status)
                name = f"Refusal{status}"
                if shared.setdefault(name, answer) == answer:
                    answers[status] = {"$ref": f"#/components/responses/{name}"}
    return result


def _add(part: dict[str, Any], schemas: Schema) -> None:
    content = part.get("content", {}).get("application/json")
    if content and "examples" not in content:
        content["example"] = example_of(content["schema"], schemas)


def _add_error(answer: dict[str, Any], status: str) -> None:
    code, message, fields = _ERRORS[status]
    for content in answer.get("content", {}).values():
        content["example"] = {
            "error": {
                "code": code,
                "message": message,
                "fields": fields,
                "request_id": _NAMES["request_id"],
            }
        }


def example_of(schema: Schema, schemas: Schema, name: str = "") -> Any:
    """A value of `schema`; `name` is the field's."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas, name)
    for union in ("allOf", "oneOf", "anyOf"):
        if union in schema:
            return example_of(schema[union][0], schemas, name)
    if "enum" in schema or "const" in schema:
        return schema["enum"][0] if "enum" in schema else schema["const"]
    kinds = schema.get("type", "object")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        found = {
            field: example_of(inner, schemas, field)
            for field, inner in schema.get("properties", {}).items()
        }
        more = schema.get("additionalProperties")
        return found or ({"name": example_of(more, schemas)} if isinstance(more, dict) else {})
    if kind == "array":
        items = schema.get("items", {})
        return [example_of(items, schemas, name)] * max(1, schema.get("minItems", 1))
    return _plain(kind, kinds, schema, name)


def _plain(kind: str, kinds: str | list[str], schema: Schema, name: str) -> Any:
    known = _NAMES.get(name)
    if name in _NAMES and known is None and "null" in kinds:
        return None
    if kind == "string":
        if "format" in schema:
            return known if isinstance(known, str) and known else _FORMATS[schema["format"]]
        return known if isinstance(known, str) else "text"
    if kind == "integer":
        return known if isinstance(known, int) else max(1, schema.get("minimum", 1))
    return {"number": 12.5, "boolean": True}.get(kind)
