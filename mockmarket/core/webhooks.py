"""Signed webhooks: a user's events posted to an address of theirs, retried, and logged.

`queue` copies new events of the outbox into deliveries, by each user's own numbering, so none is
missed and none queued twice. `deliver` claims what is due by compare-and-set, posts it, and
puts a failure off with growing, jittered pauses; after ATTEMPTS_MAX it is given up, and a webhook
that gave up GIVEN_UP_MAX times in a row is switched off.
"""

import hashlib
import hmac
import http.client
import random
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils.crypto import salted_hmac

from mockmarket.core import clock, outbound
from mockmarket.core.errors import DomainError, NotFound
from mockmarket.core.models import OutboxEvent, User, UserStream, Webhook, WebhookDelivery

EVENTS: Final = ("order_update", "trade", "alert")
ATTEMPTS_MAX: Final = 8
GIVEN_UP_MAX: Final = 20
# Pauses of at most 10 s, 20 s, 40 s … 21 min: 8 attempts in about 40 minutes.
FIRST_PAUSE: Final = timedelta(seconds=10)
# A delivery claimed by a worker that died is due again after this.
CLAIM: Final = timedelta(seconds=30)
KEPT: Final = timedelta(days=7)
QUEUED_MAX: Final = 200


class TooManyWebhooks(DomainError):
    """The user has as many webhooks as one may have."""

    code = "too_many_webhooks"
    status = 409


def create(*, user: User, url: str, events: Sequence[str], at: datetime) -> Webhook:
    """A new webhook, told of events from now on. Raises ForbiddenAddress, TooManyWebhooks."""
    outbound.check(url)
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)
        if Webhook.objects.filter(user=user).count() >= settings.WEBHOOKS_PER_USER_MAX:
            raise TooManyWebhooks(f"You may have {settings.WEBHOOKS_PER_USER_MAX} webhooks.")
        stream = UserStream.objects.filter(user=user).first()
        return Webhook.objects.create(
            user=user,
            url=url,
            events=sorted(set(events)),
            nonce=secrets.token_hex(16),
            seq=stream.seq if stream else 0,
            created_at=at,
        )


def secret(webhook: Webhook) -> str:
    """What the receiver checks signatures with."""
    return "whsec_" + salted_hmac("webhook", webhook.nonce, algorithm="sha256").hexdigest()


def signature(*, key: str, timestamp: int, body: str) -> str:
    """`v1=` and the HMAC-SHA256 of `timestamp.body`."""
    signed = hmac.new(key.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256)
    return f"v1={signed.hexdigest()}"


def webhooks(*, user: User) -> QuerySet[Webhook]:
    """The user's webhooks, newest first."""
    return Webhook.objects.filter(user=user).order_by("-id")


def access(*, user: User, webhook_id: int) -> Webhook:
    """One of the user's own; raises NotFound."""
    found = Webhook.objects.filter(user=user, pk=webhook_id).first()
    if found is None:
        raise NotFound("You have no such webhook.")
    return found


def deliveries(*, webhook: Webhook) -> QuerySet[WebhookDelivery]:
    """What was sent, newest first; kept for seven days."""
    return WebhookDelivery.objects.filter(webhook=webhook).order_by("-id")


def resume(*, webhook: Webhook) -> None:
    """Switches a webhook on again, from the newest event."""
    stream = UserStream.objects.filter(user_id=webhook.user_id).first()
    webhook.active, webhook.failures, webhook.seq = True, 0, stream.seq if stream else 0
    webhook.save(update_fields=["active", "failures", "seq"])


def queue(*, at: datetime) -> int:
    """Deliveries for events since the last time. Returns how many. Safe to repeat."""
    newest = UserStream.objects.filter(user_id=OuterRef("user_id")).values("seq")
    behind = Webhook.objects.filter(active=True).annotate(newest=Subquery(newest))
    queued = 0
    for row in behind.filter(newest__gt=F("seq")):
        queued += _queue_one(row, at=at)
    return queued


def _queue_one(webhook: Webhook, *, at: datetime) -> int:
    with transaction.atomic():
        locked = Webhook.objects.select_for_update().get(pk=webhook.pk)
        events = list(
            OutboxEvent.objects.filter(user_id=locked.user_id, seq__gt=locked.seq).order_by("seq")[
                :QUEUED_MAX
            ]
        )
        if not events:
            return 0
        wanted = [event for event in events if event.type in locked.events]
        WebhookDelivery.objects.bulk_create(
            [
                WebhookDelivery(
                    webhook=locked,
                    seq=event.seq,
                    type=event.type,
                    body=_body(event),
                    next_attempt_at=at,
                    created_at=at,
                )
                for event in wanted
            ],
            ignore_conflicts=True,
        )
        locked.seq = events[-1].seq
        locked.save(update_fields=["seq"])
    return len(wanted)


def _body(event: OutboxEvent) -> str:
    return msgspec.json.encode(
        {
            "type": event.type,
            "seq": event.seq,
            "created_at": event.created_at,
            "data": event.payload,
        }
    ).decode()


def deliver(*, at: datetime, limit: int = 50) -> int:
    """Posts what is due; how many were delivered. Workers may run it side by side.

    A receiver that failed is left alone for the rest of the round: one that hangs would otherwise
    hold up everybody by a time-out for each of its deliveries.
    """
    due = WebhookDelivery.objects.filter(
        state=WebhookDelivery.State.PENDING, next_attempt_at__lte=at, webhook__active=True
    )
    done, failed = 0, set[int]()
    for row in due.select_related("webhook").order_by("next_attempt_at")[:limit]:
        if row.webhook_id in failed:
            continue
        claimed = WebhookDelivery.objects.filter(
            pk=row.pk, state=WebhookDelivery.State.PENDING, next_attempt_at=row.next_attempt_at
        ).update(next_attempt_at=at + CLAIM, attempts=F("attempts") + 1)
        if claimed:  # else another worker was first
            row.attempts += 1
            if _attempt(row, at=at):
                done += 1
            else:
                failed.add(row.webhook_id)
    return done


def _attempt(row: WebhookDelivery, *, at: datetime) -> bool:
    timestamp = clock.to_ms(at) // 1000
    signed = signature(key=secret(row.webhook), timestamp=timestamp, body=row.body)
    status, error = None, ""
    try:
        status = outbound.post(
            url=row.webhook.url,
            body=row.body.encode(),
            headers={
                "Content-Type": "application/json",
                "User-Agent": "MockMarket-Webhook/1",
                "X-MockMarket-Event": row.type,
                "X-MockMarket-Delivery": str(row.pk),
                "X-MockMarket-Timestamp": str(timestamp),
                "X-MockMarket-Signature": signed,
            },
        )
    except (DomainError, OSError, http.client.HTTPException, UnicodeError) as failure:
        error = str(failure)[:200]
    delivered = status is not None and 200 <= status < 300
    _note(row, status=status, error=error, delivered=delivered, at=at)
    return delivered


def _note(
    row: WebhookDelivery, *, status: int | None, error: str, delivered: bool, at: datetime
) -> None:
    row.status, row.error = status, error
    if delivered:
        row.state, row.delivered_at = WebhookDelivery.State.DELIVERED, at
        Webhook.objects.filter(pk=row.webhook_id).update(failures=0)
    elif row.attempts >= ATTEMPTS_MAX:
        row.state = WebhookDelivery.State.FAILED
        Webhook.objects.filter(pk=row.webhook_id).update(failures=F("failures") + 1)
        Webhook.objects.filter(pk=row.webhook_id, failures__gte=GIVEN_UP_MAX).update(active=False)
    else:
        row.next_attempt_at = at + pause(row.attempts)
    row.save(update_fields=["status", "error", "state", "delivered_at", "next_attempt_at"])


def pause(attempts: int) -> timedelta:
    """How long to wait after that many attempts: half of a doubling ceiling, and jitter."""
    jitter = random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, hides nothing)
    return FIRST_PAUSE * float(2 ** (attempts - 1) * jitter)


def prune(*, at: datetime) -> int:
    """Deletes deliveries older than seven days. Returns how many."""
    deleted, _ = WebhookDelivery.objects.filter(created_at__lte=at - KEPT).delete()
    return deleted
