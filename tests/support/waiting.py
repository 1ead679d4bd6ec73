"""Waiting for something to become true, instead of sleeping."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Result = TypeVar("Result")
POLL_SECONDS = 0.02
# Limits are for an idle machine; a busy one may take so many times as long. Waiting longer costs
# nothing when all is well.
PATIENCE = float(os.environ.get("TEST_PATIENCE", "3"))


def eventually(
    check: Callable[[], Result], *, seconds: float = 10.0, poll: float = POLL_SECONDS
) -> Result:
    """The first true answer of `check`. An exception counts as "not yet".

    Raises AssertionError, naming the last exception, when the time is over.
    """
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        failure: Exception | None = None
        try:
            if result := check():
                return result
        except Exception as error:  # noqa: BLE001 - anything may be wrong until it is right
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s: {check}") from failure
        time.sleep(poll)


async def eventually_async(
    check: Callable[[], Awaitable[Result]], *, seconds: float = 10.0, poll: float = POLL_SECONDS
) -> Result:
    """`eventually` for a coroutine function."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        failure: Exception | None = None
        try:
            if result := await check():
                return result
        except Exception as error:  # noqa: BLE001 - anything may be wrong until it is right
            failure = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not true within {seconds} s: {check}") from failure
        await asyncio.sleep(poll)
