"""Orders, their fills, and what else changes a position."""

import uuid

from django.db import models
from django.db.models import F, Q

from marketdata.models import Instrument
from mockmarket.core.formats import rupees
from mockmarket.core.money import MoneyField, PriceField
from portfolios.models import Portfolio, Position


class Order(models.Model):
    """An instruction to buy or sell. Its lifecycle is the table in trading/lifecycle.py."""

    class Side(models.TextChoices):
        BUY = "BUY", "Buy"
        SELL = "SELL", "Sell"

    class Type(models.TextChoices):
        MARKET = "MARKET", "Market"
        LIMIT = "LIMIT", "Limit"
        SL = "SL", "Stop-loss limit"
        SL_M = "SL_M", "Stop-loss market"

    class Validity(models.TextChoices):
        DAY = "DAY", "Day"
        IOC = "IOC", "Immediate or cancel"

    class Status(models.TextChoices):
        QUEUED = "QUEUED", "Queued for the next session"
        OPEN = "OPEN", "Open"
        TRIGGER_PENDING = "TRIGGER_PENDING", "Waiting for its trigger"
        WAITING_FRESH_QUOTE = "WAITING_FRESH_QUOTE", "Waiting for a fresh price"
        PARTIALLY_FILLED = "PARTIALLY_FILLED", "Partly filled"
        FILLED = "FILLED", "Filled"
        CANCELLED = "CANCELLED", "Cancelled"
        REJECTED = "REJECTED", "Rejected"
        EXPIRED = "EXPIRED", "Expired"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="orders")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    side = models.CharField(max_length=4, choices=Side)
    order_type = models.CharField(max_length=6, choices=Type)
    product = models.CharField(max_length=4, choices=Position.Product)
    validity = models.CharField(max_length=3, choices=Validity, default=Validity.DAY)
    quantity = models.PositiveBigIntegerField()
    filled_quantity = models.PositiveBigIntegerField(default=0)
    price = PriceField(null=True)
    trigger_price = PriceField(null=True)
    average_price = PriceField(null=True, help_text="Of what is filled.")
    status = models.CharField(max_length=20, choices=Status)
    status_reason = models.CharField(max_length=200, blank=True)
    protection_price = PriceField(
        null=True, help_text="The worst price that a market order may pay or take."
    )
    turnover = PriceField(default=0, help_text="Price times quantity of what is filled.")
    charges = MoneyField(default=0, help_text="Of what is filled.")
    reserved = MoneyField(default=0, help_text="Cash held for what is unfilled, with charges.")
    margin_rate = PriceField(default=1, help_text="Part of the value put down by an opening fill.")
    margin_unit = PriceField(
        null=True, help_text="Futures and written options: rupees a unit put down instead."
    )
    triggered_at = models.DateTimeField(null=True, help_text="When a stop became an order.")
    resting = models.BooleanField(
        default=False, help_text="A limit order that met the book once and now stands in it."
    )
    depository = models.BooleanField(
        default=False, help_text="Pays the day's depository charge of its share."
    )
    version = models.PositiveIntegerField(default=1, help_text="Counts modifications.")
    client_order_id = models.CharField(max_length=64)
    reason = models.TextField(blank=True, help_text="The student's own note, for the journal.")
    placed_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    session_date = models.DateField(help_text="The session that it belongs to.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["portfolio", "client_order_id"], name="order_client_id_unique"
            ),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="order_quantity_positive"),
            models.CheckConstraint(
                condition=Q(filled_quantity__lte=F("quantity")), name="order_filled_within_quantity"
            ),
            models.CheckConstraint(
                condition=Q(reserved__gte=0), name="order_reserved_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(order_type__in=["MARKET", "SL_M"]) | Q(price__gt=0),
                name="order_limit_has_price",
            ),
            models.CheckConstraint(
                condition=~Q(order_type__in=["SL", "SL_M"]) | Q(trigger_price__gt=0),
                name="order_stop_has_trigger",
            ),
            models.CheckConstraint(
                condition=Q(reserved=0)
                | ~Q(status__in=["FILLED", "CANCELLED", "REJECTED", "EXPIRED"]),
                name="order_ended_reserves_nothing",
            ),
        ]
        indexes = [
            models.Index(
                fields=["instrument"],
                condition=Q(
                    status__in=[
                        "QUEUED",
                        "OPEN",
                        "TRIGGER_PENDING",
                        "WAITING_FRESH_QUOTE",
                        "PARTIALLY_FILLED",
                    ]
                ),
                name="order_live",
            ),
            models.Index(fields=["portfolio", "-placed_at"], name="order_recent"),
            models.Index(fields=["updated_at"], name="order_changed"),
        ]

    def __str__(self) -> str:
        return f"{self.get_side_display()} {self.quantity} {self.instrument.symbol}"

    @property
    def buy(self) -> bool:
        return self.side == Order.Side.BUY

    @property
    def stop(self) -> bool:
        """Whether it waits, or waited, for a trigger."""
        return self.order_type in {Order.Type.SL, Order.Type.SL_M}

    @property
    def open_quantity(self) -> int:
        return self.quantity - self.filled_quantity


class Fill(models.Model):
    """One execution of an order, with everything needed to derive it again."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="fills")
    execution_ref = models.CharField(max_length=40, help_text="Unique in its order.")
    sequence = models.PositiveIntegerField(default=1, help_text="Counts the fills of its order.")
    ledger_seq = models.PositiveBigIntegerField(
        default=0, help_text="Number of its ledger entry: the order of a portfolio's events."
    )
    quantity = models.PositiveBigIntegerField()
    price = PriceField()
    charges = MoneyField()
    charge_lines = models.JSONField(default=dict)
    quote = models.JSONField(help_text="The quote that it used: times, source, five levels.")
    inputs = models.JSONField(
        default=dict,
        help_text="The order, the liquidity left and the settings behind it.",
    )
    rule_path = models.JSONField(default=list)
    phase = models.CharField(max_length=20)
    filled_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["order", "execution_ref"], name="fill_ref_unique"),
            models.CheckConstraint(condition=Q(quantity__gt=0), name="fill_quantity_positive"),
            models.CheckConstraint(condition=Q(price__gt=0), name="fill_price_positive"),
        ]

    def __str__(self) -> str:
        return f"{self.quantity} {self.order.instrument.symbol} at {rupees(self.price)}"


class PositionChange(models.Model):
    """What something other than a fill did to a position; written once, never changed.

    A position is the fold of its fills and these, in the order of `ledger_seq` (a change that has
    no ledger entry of its own carries the number of the newest before it, and comes after it).
    """

    class Kind(models.TextChoices):
        MARK_TO_MARKET = "MARK_TO_MARKET", "Mark to market"
        MARGIN = "MARGIN", "Margin reckoned anew"
        EXPIRY = "EXPIRY", "Expiry"
        CORPORATE_ACTION = "CORPORATE_ACTION", "Corporate action"

    position = models.ForeignKey(Position, on_delete=models.PROTECT, related_name="changes")
    kind = models.CharField(max_length=16, choices=Kind)
    reference = models.CharField(max_length=80, help_text="What caused it, once.")
    ledger_seq = models.PositiveBigIntegerField()
    price = PriceField(null=True, help_text="What a unit was settled at.")
    quantity = models.BigIntegerField(default=0)
    cost = MoneyField(default=0)
    margin = MoneyField(default=0)
    realised = MoneyField(default=0)
    charges = MoneyField(default=0)
    inputs = models.JSONField(default=dict, help_text="What it was reckoned from.")
    occurred_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["position", "reference"], name="position_change_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.position.instrument.symbol}"
