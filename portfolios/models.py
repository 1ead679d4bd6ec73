"""Contests, portfolios and their double-entry books.

Accounting equation of one portfolio, in postings (positive is debit):
CASH + SECURITIES + MARGIN + CHARGES + CAPITAL + REALISED = 0, where CAPITAL and REALISED are
mostly credits (negative). Every ledger entry's postings sum to zero; cash and positions are
checked projections of postings and fills.
"""

from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext

from marketdata.models import Instrument
from mockmarket.core.formats import rupees
from mockmarket.core.money import ZERO, MoneyField, PriceField


class Contest(models.Model):
    """Dates, starting cash and rules under which students trade against each other."""

    class State(models.TextChoices):
        DRAFT = "DRAFT", "Draft"
        OPEN = "OPEN", "Open to join"
        RUNNING = "RUNNING", "Running"
        FROZEN = "FROZEN", "Frozen"
        FINISHED = "FINISHED", "Finished"
        ARCHIVED = "ARCHIVED", "Archived"

    class Audience(models.TextChoices):
        CODE = "CODE", "Anyone with the code"
        ROSTER = "ROSTER", "Only those on its roster"

    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(max_length=80, unique=True)
    description = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    is_practice = models.BooleanField(default=False, help_text="Everyone has it; may be reset.")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: no end.")
    starting_cash = MoneyField(default="1000000.00")
    join_code = models.CharField(max_length=16, unique=True)
    audience = models.CharField(max_length=6, choices=Audience, default=Audience.CODE)
    capacity = models.PositiveIntegerField(null=True, blank=True)
    rules = models.JSONField(default=dict, blank=True)
    rules_version = models.PositiveIntegerField(default=1)
    rules_hash = models.CharField(max_length=64, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
                name="contest_ends_after_start",
            ),
            models.CheckConstraint(
                condition=Q(starting_cash__gt=0), name="contest_starting_cash_positive"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def shown_name(self) -> str:
        """The name; the practice contest's first one is said in the reader's language."""
        return gettext(self.name) if self.is_practice else self.name

    @property
    def shown_description(self) -> str:
        """The same of the description."""
        return gettext(self.description) if self.is_practice else self.description


class Portfolio(models.Model):
    """One student in one contest. The row that every order and fill locks first."""

    contest = models.ForeignKey(Contest, on_delete=models.PROTECT, related_name="portfolios")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="portfolios"
    )
    joined_at = models.DateTimeField()
    left_at = models.DateTimeField(null=True, blank=True)
    cash = MoneyField(default=0, help_text="Balance of the CASH account.")
    reserved = MoneyField(default=0, help_text="Part of cash held for open orders.")
    margin = MoneyField(default=0, help_text="Balance of the MARGIN account, signed.")
    debt = MoneyField(default=0, help_text="Owed after a loss beyond the cash; inside margin.")
    unsettled = MoneyField(default=0, help_text="Part of cash from sales, usable next session.")
    entry_seq = models.PositiveBigIntegerField(default=0, help_text="Newest ledger entry.")

    class Meta:
        constraints = [
            # One at a time: who starts practice afresh leaves the old portfolio with its books.
            models.UniqueConstraint(
                fields=["contest", "user"],
                condition=Q(left_at__isnull=True),
                name="portfolio_unique",
            ),
            models.CheckConstraint(condition=Q(cash__gte=0), name="portfolio_cash_not_negative"),
            models.CheckConstraint(
                condition=Q(reserved__gte=0), name="portfolio_reserved_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(reserved__lte=F("cash")), name="portfolio_reserved_within_cash"
            ),
            models.CheckConstraint(condition=Q(debt__gte=0), name="portfolio_debt_not_negative"),
            models.CheckConstraint(
                condition=Q(unsettled__gte=0), name="portfolio_unsettled_not_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user.username} in {self.contest.name}"

    @property
    def buying_power(self) -> Decimal:
        """Rupees that a new order may reserve; never negative."""
        free: Decimal = self.cash - self.reserved - self.debt - self.unsettled
        return max(ZERO, free)


class LedgerEntry(models.Model):
    """One economic event of a portfolio. Its postings are written first, then the entry: a
    trigger on the entry checks that they sum to zero, and afterwards nothing can be added,
    changed or removed (see the migration)."""

    class Kind(models.TextChoices):
        OPENING = "OPENING", "Opening balance"
        FILL = "FILL", "Fill"
        ADJUSTMENT = "ADJUSTMENT", "Staff adjustment"
        DIVIDEND = "DIVIDEND", "Dividend"
        CORPORATE_ACTION = "CORPORATE_ACTION", "Corporate action"
        CHARGE = "CHARGE", "Charge"
        SETTLEMENT = "SETTLEMENT", "Settlement"
        REVERSAL = "REVERSAL", "Reversal"

    id = models.UUIDField(primary_key=True, editable=False)
    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="entries")
    seq = models.PositiveBigIntegerField()
    kind = models.CharField(max_length=16, choices=Kind)
    occurred_at = models.DateTimeField()
    reference = models.CharField(
        max_length=80, help_text="What caused it, once: fill:<id>, opening, action:<id>."
    )
    description = models.CharField(max_length=200)
    reverses = models.OneToOneField(
        "self", on_delete=models.PROTECT, null=True, related_name="reversed_by"
    )
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        verbose_name_plural = "ledger entries"
        constraints = [
            models.UniqueConstraint(fields=["portfolio", "seq"], name="ledger_seq_unique"),
            models.UniqueConstraint(
                fields=["portfolio", "reference"], name="ledger_reference_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"entry {self.seq}: {self.description}"


class Posting(models.Model):
    """One side of a ledger entry: rupees moved to (positive) or from (negative) an account."""

    class Account(models.TextChoices):
        CASH = "CASH", "Cash"
        SECURITIES = "SECURITIES", "Securities at cost"
        MARGIN = "MARGIN", "Margin held"
        CHARGES = "CHARGES", "Charges paid"
        REALISED = "REALISED", "Realised profit and loss"
        DIVIDENDS = "DIVIDENDS", "Dividends received"
        CAPITAL = "CAPITAL", "Capital paid in"

    entry = models.ForeignKey(LedgerEntry, on_delete=models.PROTECT, related_name="postings")
    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="postings")
    account = models.CharField(max_length=10, choices=Account)
    amount = MoneyField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["entry", "account"], name="posting_account_unique"),
            models.CheckConstraint(condition=~Q(amount=0), name="posting_not_zero"),
        ]
        indexes = [models.Index(fields=["portfolio", "account"], name="posting_account")]

    def __str__(self) -> str:
        return f"{self.account} {rupees(self.amount, signed=True)}"


class Position(models.Model):
    """What a portfolio holds of one instrument in one product; a fold of its fills.

    `quantity` is signed (short is negative); `cost` is the signed cost of the open quantity at
    average price, so average price = cost / quantity. `settled_quantity` is deliverable (T+1).
    The day columns count the fills of one session and start again with the next one's first.
    """

    class Product(models.TextChoices):
        CNC = "CNC", "Delivery"
        MIS = "MIS", "Intraday"
        NRML = "NRML", "Carry forward"

    portfolio = models.ForeignKey(Portfolio, on_delete=models.PROTECT, related_name="positions")
    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    product = models.CharField(max_length=4, choices=Product)
    quantity = models.BigIntegerField(default=0)
    settled_quantity = models.BigIntegerField(default=0)
    cost = MoneyField(default=0)
    margin = MoneyField(default=0, help_text="Cash put down for it: the cost, if paid in full.")
    realised_pnl = MoneyField(default=0)
    charges = MoneyField(default=0)
    session_date = models.DateField(null=True, help_text="The session of the day columns.")
    day_quantity = models.BigIntegerField(default=0, help_text="Signed fills of that session.")
    day_cost = MoneyField(default=0, help_text="Signed notional of that session's fills.")
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["portfolio", "instrument", "product"], name="position_unique"
            ),
            models.CheckConstraint(
                condition=~Q(product="CNC") | Q(quantity__gte=0), name="position_delivery_not_short"
            ),
            models.CheckConstraint(
                condition=~Q(quantity=0) | Q(cost=0), name="position_flat_has_no_cost"
            ),
            models.CheckConstraint(
                condition=~Q(quantity=0) | Q(margin=0), name="position_flat_has_no_margin"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.instrument.symbol} {self.product}: {self.quantity}"


class PortfolioSnapshot(models.Model):
    """Equity of a portfolio at an instant: each minute in session, and once at each close."""

    class Kind(models.TextChoices):
        MINUTE = "MINUTE", "Each minute, kept for the day"
        CLOSE = "CLOSE", "At the close, kept for ever"

    portfolio = models.ForeignKey(Portfolio, on_delete=models.CASCADE, related_name="snapshots")
    kind = models.CharField(max_length=6, choices=Kind)
    taken_at = models.DateTimeField()
    equity = MoneyField()
    cash = MoneyField()
    benchmark = models.FloatField(null=True, help_text="NIFTY 50 at the same instant.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["portfolio", "kind", "taken_at"], name="portfolio_snapshot_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.portfolio}: {rupees(self.equity)}"


class Invitation(models.Model):
    """A user on the roster of a contest: may join it where only the roster may."""

    contest = models.ForeignKey(Contest, on_delete=models.CASCADE, related_name="invitations")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="invitations"
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["contest", "user"], name="invitation_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.user.username} in {self.contest.name}"


class PortfolioMetrics(models.Model):
    """What the boards rank beside return: from the closes of the sessions, computed after each.

    Percentages and ratios as floats; null where there is not enough to say.
    """

    portfolio = models.OneToOneField(
        Portfolio, on_delete=models.CASCADE, primary_key=True, related_name="metrics"
    )
    computed_at = models.DateTimeField()
    sessions = models.PositiveIntegerField(help_text="Daily returns that it rests on.")
    week_equity = MoneyField(help_text="Equity at the last close before this week.")
    sharpe = models.FloatField(null=True, help_text="Of daily returns, a year.")
    drawdown_percent = models.FloatField(null=True, help_text="Deepest fall from a peak, >= 0.")
    win_rate = models.FloatField(null=True, help_text="Percent of closing fills with a profit.")
    consistency = models.FloatField(null=True, help_text="Percent of sessions with a gain.")
    rank_low = models.PositiveIntegerField(null=True, help_text="Best rank in 9 of 10 draws.")
    rank_high = models.PositiveIntegerField(null=True, help_text="Worst rank in 9 of 10 draws.")

    def __str__(self) -> str:
        return str(self.portfolio)


class ContestClosing(models.Model):
    """The prices that a contest ended with: what its result is derived from, again if asked."""

    contest = models.OneToOneField(
        Contest, on_delete=models.PROTECT, primary_key=True, related_name="closing"
    )
    taken_at = models.DateTimeField()
    prices = models.JSONField(help_text="Instrument key to last price, as text.")

    def __str__(self) -> str:
        return self.contest.name


class Result(models.Model):
    """A portfolio's place when its contest ended. Never changed; a certificate shows `code`."""

    contest = models.ForeignKey(Contest, on_delete=models.PROTECT, related_name="results")
    portfolio = models.OneToOneField(Portfolio, on_delete=models.PROTECT, related_name="result")
    rank = models.PositiveIntegerField(null=True, help_text="Null: too few fills for a rank.")
    of = models.PositiveIntegerField()
    alias = models.CharField(max_length=150)
    equity = MoneyField()
    paid_in = MoneyField()
    realised_pnl = MoneyField()
    charges = MoneyField()
    fills = models.PositiveIntegerField()
    return_percent = PriceField()
    code = models.CharField(max_length=16, unique=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(rank__isnull=True) | Q(rank__gte=1, rank__lte=F("of")),
                name="result_rank_within_ranked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.alias} in {self.contest.name}"


class JournalEntry(models.Model):
    """What a student thought: a reason when they entered, a note when they left, or a remark."""

    class Kind(models.TextChoices):
        ENTRY = "ENTRY", "Reason at entry"
        EXIT = "EXIT", "Note at exit"
        NOTE = "NOTE", "Note"

    portfolio = models.ForeignKey(Portfolio, on_delete=models.CASCADE, related_name="journal")
    instrument = models.ForeignKey(
        Instrument, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    order_id = models.UUIDField(null=True, blank=True, help_text="The order that it speaks of.")
    kind = models.CharField(max_length=5, choices=Kind, default=Kind.NOTE)
    text = models.TextField(max_length=2000)
    tags = models.JSONField(default=list, blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "journal entries"
        indexes = [models.Index(fields=["portfolio", "-created_at"], name="journal_recent")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} of {self.portfolio.user.username}"


class Announcement(models.Model):
    """A message of staff to everybody, or to those in one contest."""

    contest = models.ForeignKey(
        Contest, on_delete=models.CASCADE, null=True, blank=True, related_name="announcements",
        help_text="Empty: to everybody.",
    )  # fmt: skip
    title = models.CharField(max_length=120)
    body = models.TextField(max_length=2000, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["-created_at"], name="announcement_recent")]

    def __str__(self) -> str:
        return self.title
