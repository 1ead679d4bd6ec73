"""Named refusals. Each has one code, the same on the page, in the API and on the WebSocket."""

from collections.abc import Mapping
from typing import Final

# When a store is away: how long pages, the API and the probe ask a client to wait.
RETRY_AFTER_SECONDS: Final = 2


class DomainError(Exception):
    """A request that the rules refuse, with what the user can do about it.

    Subclasses live beside what raises them and set `code` (snake_case, stable) and `status`
    (the HTTP status of the API). `fields` maps a field's name to its message.
    """

    code = "invalid"
    status = 400

    def __init__(self, message: str, *, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.fields = dict(fields or {})


class NotFound(DomainError):
    """It does not exist, or this user may not see it: the answer is the same."""

    code = "not_found"
    status = 404


class Forbidden(DomainError):
    """The user is known and may not do this."""

    code = "forbidden"
    status = 403
