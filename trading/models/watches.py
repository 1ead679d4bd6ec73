"""What the engine watches for users: alerts and good-till-triggered instructions."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q

from marketdata.models import Instrument
from mockmarket.core import records
from mockmarket.core.money import PriceField
from portfolios.models import Portfolio, Position
from trading.models.orders import Order


class Alert(models.Model):
    """What a user wants to be told of an instrument; see trading/alerts.py for when it fires."""

    class Kind(models.TextChoices):
        PRICE_ABOVE = "PRICE_ABOVE", "Price rises to"
        PRICE_BELOW = "PRICE_BELOW", "Price falls to"
        PERCENT_MOVE = "PERCENT_MOVE", "Moves by, in percent of the day"
        VOLUME_SPIKE = "VOLUME_SPIKE", "Volume of a minute, times the usual"
        RANGE_BREAKOUT = "RANGE_BREAKOUT", "Leaves the day’s range"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="alerts"
    )
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=14, choices=Kind)
    threshold = PriceField(help_text="Rupees, percent or times; 0 for the range.")
    note = models.CharField(max_length=120, blank=True)
    active = models.BooleanField(default=True)
    armed = models.BooleanField(default=True, help_text="False until the condition is false again.")
    fired_count = models.PositiveIntegerField(default=0)
    fired_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold__gt=0) | Q(kind="RANGE_BREAKOUT"),
                name="alert_threshold_positive",
            ),
        ]
        indexes = [
            models.Index(fields=["instrument"], condition=Q(active=True), name="alert_active"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument.symbol}: {self.get_kind_display()}"


class AlertEvent(models.Model):
    """One firing of an alert, kept for its owner's list."""

    alert = models.ForeignKey(Alert, on_delete=models.CASCADE, related_name="events")
    fired_at = models.DateTimeField()
    price = PriceField()
    message = models.CharField(max_length=200)  # a record, see core/records.py

    class Meta:
        indexes = [models.Index(fields=["alert", "-fired_at"], name="alert_event_recent")]

    def __str__(self) -> str:
        return f"{self.alert.instrument.symbol} {records.english(self.message)}"


class Gtt(models.Model):
    """Good till triggered: places an order when the last price reaches one of its legs.

    The lower leg fires at or below its trigger, the upper one at or above; with both (one cancels
    the other) whichever comes first. A bracket's instruction has an `entry` and becomes active
    when that fills. Nothing is reserved before it fires.
    """

    class Status(models.TextChoices):
        PENDING = "PENDING", "Waits for its entry"
        ACTIVE = "ACTIVE", "Watching the price"
        TRIGGERED = "TRIGGERED", "Triggered"
        REJECTED = "REJECTED", "Refused when it fired"
        CANCELLED = "CANCELLED", "Cancelled"
        EXPIRED = "EXPIRED", "Expired"

    class Leg(models.TextChoices):
        LOWER = "LOWER", "Lower"
        UPPER = "UPPER", "Upper"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="gtts")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=Order.Side)
    product = models.CharField(max_length=4, choices=Position.Product)
    quantity = models.PositiveBigIntegerField()
    lower_trigger = PriceField(null=True)
    lower_price = PriceField(null=True, help_text="Limit of the order; empty: by market.")
    upper_trigger = PriceField(null=True)
    upper_price = PriceField(null=True, help_text="Limit of the order; empty: by market.")
    status = models.CharField(max_length=9, choices=Status)
    status_reason = models.CharField(max_length=200, blank=True)
    entry = models.OneToOneField(Order, on_delete=models.PROTECT, null=True, related_name="bracket")
    order = models.OneToOneField(
        Order, on_delete=models.PROTECT, null=True, related_name="placed_by"
    )
    fired_leg = models.CharField(max_length=5, choices=Leg, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name = "good-till-triggered instruction"
        constraints = [
            models.CheckConstraint(condition=Q(quantity__gt=0), name="gtt_quantity_positive"),
            models.CheckConstraint(
                condition=Q(lower_trigger__gt=0) | Q(upper_trigger__gt=0), name="gtt_has_a_leg"
            ),
            models.CheckConstraint(
                condition=~Q(status="TRIGGERED") | Q(order__isnull=False),
                name="gtt_fired_has_order",
            ),
        ]
        indexes = [models.Index(fields=["updated_at"], name="gtt_changed")]

    def __str__(self) -> str:
        return f"{self.get_side_display()} {self.quantity} {self.instrument.symbol}"
