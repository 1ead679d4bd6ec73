"""Corporate actions and what they did to each portfolio."""

from django.db import models
from django.db.models import Q

from marketdata.models import Instrument
from mockmarket.core import records
from mockmarket.core.money import MoneyField, PriceField
from portfolios.models import Portfolio


class CorporateAction(models.Model):
    """A split, bonus or dividend of a share, announced for its ex-date.

    `numerator` new shares for each `denominator` old (split), or beside each (bonus); `amount`
    rupees a share (dividend). What it did to each portfolio stands in its steps.
    """

    class Kind(models.TextChoices):
        SPLIT = "SPLIT", "Split"
        BONUS = "BONUS", "Bonus"
        DIVIDEND = "DIVIDEND", "Dividend"

    class Status(models.TextChoices):
        ANNOUNCED = "ANNOUNCED", "Announced"
        APPLYING = "APPLYING", "Being applied"
        APPLIED = "APPLIED", "Applied"
        REVERSING = "REVERSING", "Being reversed"
        REVERSED = "REVERSED", "Reversed"
        CANCELLED = "CANCELLED", "Cancelled"

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    ex_date = models.DateField()
    numerator = models.PositiveIntegerField(null=True, blank=True)
    denominator = models.PositiveIntegerField(null=True, blank=True)
    amount = PriceField(null=True, blank=True, help_text="Rupees a share.")
    status = models.CharField(max_length=9, choices=Status, default=Status.ANNOUNCED)
    source = models.CharField(max_length=200, blank=True)
    unit_price = PriceField(null=True, help_text="Of a share after it; pays for fractions.")
    alerts = models.JSONField(default=list, help_text="Alerts as they stood before it.")
    contracts = models.JSONField(
        default=list, db_default=[], help_text="Futures and options on the share, before and after."
    )
    announced_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    reversed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "kind", "ex_date"],
                condition=~Q(status__in=["CANCELLED", "REVERSED"]),
                name="corporate_action_unique",
            ),
            models.CheckConstraint(
                condition=Q(kind="DIVIDEND", amount__gt=0, numerator=None, denominator=None)
                | Q(numerator__gt=0, denominator__gt=0, amount=None) & ~Q(kind="DIVIDEND"),
                name="corporate_action_has_terms",
            ),
        ]

    def __str__(self) -> str:
        return records.english(self.record())

    def record(self, what: str = "", **more: object) -> str:
        """Its terms, or with `what` what came of it, as later readers are told in their language.
        Needs the instrument."""
        if self.kind == self.Kind.DIVIDEND:
            terms: dict[str, object] = {"amount": f"₹{self.amount.normalize():f}"}
        else:
            terms = {"numerator": self.numerator, "denominator": self.denominator}
        code = "_".join(filter(None, [self.kind.lower(), what]))
        return records.record(code, symbol=self.instrument.symbol, **terms, **more)


class CorporateActionStep(models.Model):
    """What an action did to one portfolio; the row makes it happen once.

    `orders` and `gtts` keep what they were before, for the reversal. What changed of positions
    stands in position changes named `action:<id>`.
    """

    action = models.ForeignKey(CorporateAction, on_delete=models.PROTECT, related_name="steps")
    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="+")
    units = models.BigIntegerField(default=0, help_text="Held on the morning of the ex-date.")
    contracts = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Positions in futures and options on the share."
    )
    cash = MoneyField(default=0, help_text="Dividend, or fractions sold.")
    orders = models.JSONField(default=list)
    gtts = models.JSONField(default=list)
    applied_at = models.DateTimeField()
    reversed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["action", "portfolio"], name="corporate_action_step_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action}, {self.portfolio}"
