"""Celery tasks of market data: thin, each asks the clock once and calls a service.

A task that finds nothing due returns at once; schedules stand in mockmarket/celery.py.
"""

from datetime import date

from celery import shared_task

from marketdata import fetching, history, mood, news, research, upkeep
from marketdata.options import sweeping
from mockmarket.core import clock
from mockmarket.core import redis as store


@shared_task(expires=5)
def fetch_quotes() -> None:
    """Every 5 s: indices, and the shares and most-active that are due."""
    fetching.fetch_due(at=clock.now())


@shared_task(expires=60)
def beat_heart() -> None:
    """Every minute: a worker took a job that beat sent, so both are alive."""
    store.client().set(store.key("heartbeat", "celery"), clock.now().isoformat(), ex=180)


@shared_task(expires=30)
def refresh_sentiment() -> None:
    """Every 30 s in the service window."""
    at = clock.now()
    if fetching.in_window(at=at) and fetching.claim("sentiment", every_ms=30_000):
        mood.refresh(at=at)


@shared_task(expires=100)
def refresh_news() -> None:
    """Every 120 s in the service window."""
    at = clock.now()
    if fetching.in_window(at=at) and fetching.claim("news", every_ms=120_000):
        news.refresh(at=at)


@shared_task(expires=55)
def sweep_option_chains() -> None:
    """Every minute: the option chains that are due, in the service window."""
    sweeping.sweep_due(at=clock.now())


@shared_task(expires=55)
def reconcile() -> None:
    """Every minute: closing snapshots, pruning, whatever should be true by now."""
    upkeep.reconcile(at=clock.now())


@shared_task(expires=280)
def refresh_screen() -> None:
    """Every five minutes: the day's screen, when it is missing."""
    research.refresh_screen(at=clock.now())


@shared_task
def fill_history(instrument_id: int, days: list[str]) -> None:
    """Asked for by a chart: minutes of older sessions."""
    wanted = [date.fromisoformat(day) for day in days]
    history.fill_later(instrument_id=instrument_id, days=wanted, at=clock.now())
