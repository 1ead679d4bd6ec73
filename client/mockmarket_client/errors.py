"""What the server refuses."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """A refusal: `code` is stable, `message` is for people, `fields` names what was wrong."""

    def __init__(self, *, status: int, body: Any, retry_after: float | None = None) -> None:
        error = body.get("error", {}) if isinstance(body, Mapping) else {}
        self.status = status
        self.code = str(error.get("code", "unknown"))
        self.message = str(error.get("message", f"HTTP {status}"))
        self.fields: dict[str, str] = dict(error.get("fields", {}))
        self.request_id = str(error.get("request_id", ""))
        self.retry_after = retry_after
        super().__init__(f"{self.code}: {self.message}")
