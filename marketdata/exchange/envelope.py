"""Upstox's answers: the success envelope, the error envelope with both spellings, JSON bytes."""

from dataclasses import dataclass, field

import orjson


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer ready to be sent."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A request that Upstox refuses, with its code."""

    status: int
    code: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)


BAD_TOKEN = Refusal(401, "UDAPI100050", "Invalid token used to access API")
NO_SUCH_URL = Refusal(404, "UDAPI10000", "This request is not supported by Upstox API")
TOO_MANY = Refusal(429, "UDAPI10005", "Too Many Request Sent")


def success(data: object, **siblings: object) -> Answer:
    """`{"status": "success", "data": …}` and what stands beside it."""
    return plain({"status": "success", "data": data, **siblings})


def plain(content: object) -> Answer:
    """JSON without an envelope (the token answer is flat)."""
    return Answer(200, orjson.dumps(content))


def refused(refusal: Refusal) -> Answer:
    """The error envelope, byte for byte as recorded from the real API."""
    error = {
        "errorCode": refusal.code,
        "message": refusal.message,
        "propertyPath": None,
        "invalidValue": None,
        "error_code": refusal.code,
        "property_path": None,
        "invalid_value": None,
    }
    body = orjson.dumps({"status": "error", "errors": [error]})
    return Answer(refusal.status, body, refusal.headers)
