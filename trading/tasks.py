"""Celery's doors to the services: thin, and safe to run twice."""

from dataclasses import asdict

from celery import shared_task

from mockmarket.core import clock
from trading import housekeeping
from trading.derivatives import services as derivatives


@shared_task(name="trading.tasks.reconcile")
def reconcile() -> dict[str, int]:
    """Expire, square off, activate, settle: whatever the calendar asks for by now."""
    return asdict(housekeeping.reconcile(at=clock.now()))


@shared_task(name="trading.tasks.settle_derivatives")
def settle_derivatives() -> dict[str, int]:
    """Expire contracts, mark futures to market, reckon margin anew."""
    return asdict(derivatives.reconcile(at=clock.now()))
