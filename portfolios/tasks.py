"""Celery tasks of portfolios: thin, each asks the clock once and calls a service."""

from celery import shared_task

from mockmarket.core import clock
from portfolios import upkeep


@shared_task(expires=55)
def reconcile() -> None:
    """Every minute: starts and ends of contests, closes, metrics, pruning."""
    upkeep.reconcile(at=clock.now())
