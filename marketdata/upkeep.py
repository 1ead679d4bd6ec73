"""Level-triggered upkeep: each minute, what should be true by now is made true.

Every step is safe to run twice, late, or at the same time in two workers, and one step's failure
does not keep the others from running.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.conf import settings
from django.db import IntegrityError, transaction

from marketdata import broker, closing, fetching
from marketdata import services as listings
from marketdata.models import Candle, NewsItem
from marketdata.options import services, sweeping
from mockmarket.core import alarms, backups, bus
from mockmarket.core.clock import IST
from mockmarket.core.models import JobRun

log = structlog.get_logger(__name__)

# Rows removed by one statement: short enough for SQLite's one writer.
PRUNE_ROWS: Final = 5_000
PRUNE_ROUNDS_MAX: Final = 200


def reconcile(*, at: datetime) -> dict[str, object]:
    """Do what is due at `at`; what each step did, by name."""
    steps: dict[str, Callable[[], object]] = {
        "backups": lambda: backups.watch(at=at),
        "broker-token": lambda: broker.watch(at=at),
        "closing": lambda: closing.take_due(at=at),
        "option-closes": lambda: sweeping.close_due(at=at),
        "instruments": lambda: _instruments(at),
        "prune": lambda: once_a_day(job="prune", at=at, work=lambda: prune(at=at)),
    }
    done: dict[str, object] = {}
    for name, step in steps.items():
        try:
            done[name] = step()
            alarms.clear(name=f"upkeep:{name}")
        except Exception as error:
            log.exception("upkeep failed", step=name)
            alarms.raise_alarm(name=f"upkeep:{name}", message=str(error) or repr(error), at=at)
            done[name] = repr(error)
    return done


def _instruments(at: datetime) -> object:
    """Today's instrument file: within the window, because it is an upstream call. A replayed day
    has the contracts of its own day, and today's file would retire them."""
    if settings.MARKET_SOURCE == "replay" or not fetching.in_window(at=at):
        return None
    return once_a_day(job="instruments", at=at, work=listings.refresh_instruments)


def once_a_day(*, job: str, at: datetime, work: Callable[[], object]) -> object:
    """Run `work` once a calendar day (IST) over all workers; None when it ran already.

    A failure takes the claim back, so that the next minute tries again.
    """
    key = at.astimezone(IST).date().isoformat()
    try:
        with transaction.atomic():
            run = JobRun.objects.create(job=job, key=key, started_at=at)
    except IntegrityError:
        return None
    try:
        found = work()
    except Exception:
        run.delete()
        raise
    run.state, run.finished_at, run.detail = JobRun.State.DONE, at, {"result": str(found)}
    run.save()
    return found


def prune(*, at: datetime) -> int:
    """Remove minutes, news and option chains older than the settings keep; how many rows."""
    minutes = Candle.objects.filter(
        interval=Candle.Interval.MINUTE,
        start__lt=at - timedelta(days=settings.MINUTE_CANDLE_DAYS),
    )
    news = NewsItem.objects.filter(published_at__lt=at - timedelta(days=settings.NEWS_DAYS))
    removed = 0
    for rows in (minutes, news):
        for _ in range(PRUNE_ROUNDS_MAX):
            keys = list(rows.values_list("pk", flat=True)[:PRUNE_ROWS])
            if not keys:
                break
            removed += rows.model._default_manager.filter(pk__in=keys).delete()[0]
    removed += services.prune_session_snapshots(at=at)
    return removed + (bus.prune_outbox() or 0)
