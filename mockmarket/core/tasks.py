"""Celery jobs of accounts and the API: thin, each calls one service."""

from celery import shared_task
from django.core.management import call_command

from mockmarket.core import clock, webhooks
from mockmarket.core.api import idempotency


@shared_task
def send_webhooks() -> None:
    """Queues and posts what is due."""
    webhooks.queue(at=clock.now())
    webhooks.deliver(at=clock.now())


@shared_task
def prune() -> None:
    """Removes what is kept for a limited time."""
    at = clock.now()
    idempotency.prune(at=at)
    webhooks.prune(at=at)
    call_command("flushexpiredtokens")
