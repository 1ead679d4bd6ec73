"""Views run on warm threads: few, kept, never more at once than there are."""

import asyncio
import threading
import time

import pytest
from asgiref.sync import ThreadSensitiveContext, sync_to_async

from mockmarket.core.threads import WarmThreads


class Site:
    """Stands in Django's place: its own context, and a view that notes its thread."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.inside = self.most = 0

    async def __call__(self, scope, receive, send) -> None:
        async with ThreadSensitiveContext():  # as Django's handler does
            await sync_to_async(self.view)(scope)
            await sync_to_async(self.view)(scope)

    def view(self, scope) -> None:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.threads.append(threading.current_thread())
        time.sleep(scope.get("seconds", 0))
        self.inside -= 1
        if scope.get("fails"):
            raise ValueError("a view failed")


async def ask(application, **scope) -> None:
    await application(scope, None, None)


async def test_requests_after_each_other_share_one_thread() -> None:
    site = Site()
    warm = WarmThreads(site, threads=4)
    for _ in range(5):
        await ask(warm)
    assert len(set(site.threads)) == 1


async def test_control_django_alone_takes_a_thread_each() -> None:
    site = Site()
    for _ in range(5):
        await ask(site)
    assert len(set(site.threads)) == 5


async def test_never_more_views_at_once_than_threads() -> None:
    site = Site()
    warm = WarmThreads(site, threads=3)
    await asyncio.gather(*(ask(warm, seconds=0.01) for _ in range(12)))
    assert len(site.threads) == 24
    assert site.most <= 3
    assert len(set(site.threads)) == 3


async def test_a_failed_view_gives_its_thread_back() -> None:
    site = Site()
    warm = WarmThreads(site, threads=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="a view failed"):
            await ask(warm, fails=True)
    await asyncio.wait_for(ask(warm), 5)
