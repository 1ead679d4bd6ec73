"""The charges that fills cost, and the fence between engines."""

from django.db import models
from django.db.models import Q


class ChargeSchedule(models.Model):
    """The rates of one kind of trading from a date on, until a newer row of the kind.

    `rates` holds text decimals by the names of trading/charges.py.
    """

    class Kind(models.TextChoices):
        DELIVERY = "DELIVERY", "Delivery"
        INTRADAY = "INTRADAY", "Intraday"
        FUTURES = "FUTURES", "Futures"
        OPTIONS = "OPTIONS", "Options"

    kind = models.CharField(max_length=8, choices=Kind)
    effective_from = models.DateField()
    rates = models.JSONField()
    source = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "effective_from"], name="charge_schedule_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} from {self.effective_from}"


class EngineFence(models.Model):
    """One row: the token of the engine that may write fills.

    A starting engine takes the next token; every batch of fills checks its own under lock, so an
    engine that was replaced while it slept can commit nothing more.
    """

    token = models.PositiveBigIntegerField(default=0)
    taken_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="engine_fence_single")]
