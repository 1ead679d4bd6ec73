"""PostgreSQL connections of a web process: an answer within a bound, or none.

`statement_timeout` is kept by the server, so it does nothing when that is paused, its machine hangs
or the network swallows packets: the query then waits for as long as the kernel does, minutes to
hours, with its request and its thread. The bound here is the client's own.
"""

from typing import Any

import psycopg
from django.conf import settings

# Just above `statement_timeout` in the settings: a server that lives is the first to give up.
ANSWER_SECONDS_MAX = 6.0


class BoundedConnection(psycopg.Connection[Any]):
    """Gives up, and itself, when the server says nothing for ANSWER_SECONDS_MAX."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """As psycopg's. Raises OperationalError when the time is over."""
        try:
            return super().wait(gen, interval, ANSWER_SECONDS_MAX if timeout is None else timeout)
        except psycopg.errors._WaitTimeout:
            self.pgconn.finish()  # whatever comes later belongs to nobody
            raise


def bound_answers() -> None:
    """Makes this process's pools open such connections. Called before the first query."""
    pool = settings.DATABASES["default"].get("OPTIONS", {}).get("pool")
    if pool is not None:
        pool["connection_class"] = BoundedConnection
