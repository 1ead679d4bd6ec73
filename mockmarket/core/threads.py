"""Django's synchronous views on a fixed number of threads, each with its database connection.

By itself Django gives each request an executor, a thread, and a second thread to join the first;
and a connection belongs to a thread, so on SQLite each request opened the file and ran its PRAGMAs:
about 10 ms around a view of 1.4 ms. Here a request borrows a thread that is already warm.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from asgiref.sync import ThreadSensitiveContext

# Views that run at once in one process; the next ones wait their turn. Above the number of
# connections to PostgreSQL more threads would only wait there.
THREADS: Final = 16


class WarmThreads:
    """An ASGI application around Django's, for HTTP."""

    def __init__(self, application: Any, *, threads: int = THREADS) -> None:
        self.application = application
        # Last in, first out: under light load one thread serves all, and its caches stay warm.
        self._free: asyncio.LifoQueue[ThreadPoolExecutor] = asyncio.LifoQueue()
        for number in range(threads):
            self._free.put_nowait(ThreadPoolExecutor(1, thread_name_prefix=f"view-{number}"))

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        executor = await self._free.get()
        try:
            async with ThreadSensitiveContext(executor=executor):
                await self.application(scope, receive, send)
        finally:
            self._free.put_nowait(executor)
