"""Users, and the records that keep the product honest: outbox, jobs, audit, idempotency."""

import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class User(AbstractUser):
    """A student, a teaching assistant or an administrator."""

    class Theme(models.TextChoices):
        SYSTEM = "SYSTEM", "As the device"
        LIGHT = "LIGHT", "Light"
        DARK = "DARK", "Dark"

    alias = models.CharField(
        max_length=30, blank=True, help_text="Shown on leaderboards instead of the name."
    )
    theme = models.CharField(max_length=8, choices=Theme, default=Theme.SYSTEM)
    colour_blind = models.BooleanField(
        default=False, help_text="Blue and orange instead of green and red."
    )

    @property
    def shown_name(self) -> str:
        """What other students see."""
        return self.alias or self.get_full_name() or self.username


class UserStream(models.Model):
    """The numbering of one user's private events: `seq` of the newest, under `epoch`.

    Locked last in every transaction (portfolio, order, stream), and only by the bus.
    """

    user = models.OneToOneField(User, on_delete=models.CASCADE, primary_key=True)
    epoch = models.UUIDField(default=uuid.uuid4, editable=False)
    seq = models.BigIntegerField(default=0)


class OutboxEvent(models.Model):
    """A private event, written in the transaction that caused it, published after commit."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    seq = models.BigIntegerField()
    type = models.CharField(max_length=40)
    payload = models.JSONField()
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "seq"], name="outbox_seq_unique"),
            models.CheckConstraint(condition=models.Q(seq__gt=0), name="outbox_seq_positive"),
        ]
        indexes = [
            models.Index(
                fields=["id"],
                condition=models.Q(published_at__isnull=True),
                name="outbox_unpublished",
            )
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.seq}"


class JobRun(models.Model):
    """One run of a job for one key (mostly a session date): what makes a job exactly-once."""

    class State(models.TextChoices):
        RUNNING = "RUNNING", "Running"
        DONE = "DONE", "Done"
        FAILED = "FAILED", "Failed"

    job = models.CharField(max_length=60)
    key = models.CharField(max_length=60)
    state = models.CharField(max_length=8, choices=State, default=State.RUNNING)
    attempts = models.PositiveIntegerField(default=1)
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)
    detail = models.JSONField(default=dict, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "key"], name="job_run_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.key}"


class AuditEntry(models.Model):
    """Who changed what, when and why. Triggers refuse update and delete on both engines."""

    at = models.DateTimeField()
    actor = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    action = models.CharField(max_length=60)
    object_type = models.CharField(max_length=60)
    object_id = models.CharField(max_length=60)
    reason = models.TextField()
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return self.action


class IdempotencyRecord(models.Model):
    """The answer given to an Idempotency-Key, kept 24 hours."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=255)
    request_hash = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = models.JSONField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique"),
        ]


class ApiToken(models.Model):
    """A named token of a program. Only its SHA-256 is kept."""

    class Scope(models.TextChoices):
        READ = "READ", "Read"
        TRADE = "TRADE", "Read and trade"

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    last_four = models.CharField(max_length=4)
    scope = models.CharField(max_length=5, choices=Scope, default=Scope.READ)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    last_used_at = models.DateTimeField(null=True)
    revoked_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"{self.name} of {self.user.username}"


class Webhook(models.Model):
    """An address of a user's program that is told of order and alert events.

    Its secret is derived from `nonce` and SECRET_KEY, so the database alone signs nothing.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="webhooks")
    url = models.URLField(max_length=500)
    events = models.JSONField(default=list, help_text="Event types that it wants.")
    nonce = models.CharField(max_length=32)
    active = models.BooleanField(default=True)
    seq = models.BigIntegerField(default=0, help_text="Newest event that was queued.")
    failures = models.PositiveIntegerField(default=0, help_text="Deliveries given up in a row.")
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(models.Model):
    """One event for one webhook, with what came of it."""

    class State(models.TextChoices):
        PENDING = "PENDING", "Waiting"
        DELIVERED = "DELIVERED", "Delivered"
        FAILED = "FAILED", "Given up"

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    seq = models.BigIntegerField(help_text="The event's number.")
    type = models.CharField(max_length=40)
    body = models.TextField()
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True, help_text="Of the newest answer.")
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["webhook", "seq"], name="webhook_delivery_unique"),
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                condition=models.Q(state="PENDING"),
                name="webhook_delivery_due",
            ),
        ]
