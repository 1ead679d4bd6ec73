"""Instruments and what is kept of their prices.

Live prices are not rows: they stand on the engine's quote board. The database holds the
instruments, the last known price (the end of the fallback chain), candles and closing prices.
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_noop

from marketdata import sessions
from mockmarket.core.money import PriceField


class Instrument(models.Model):
    """Anything with a price: a share, an index, a future or an option, as Upstox names it."""

    key = models.CharField(max_length=64, unique=True)  # NSE_EQ|INE002A01018
    symbol = models.CharField(max_length=64)  # RELIANCE; "NIFTY 24000 CE 30 DEC 25"
    name = models.CharField(max_length=160)
    short_name = models.CharField(max_length=120, blank=True)
    isin = models.CharField(max_length=12, blank=True)
    exchange = models.CharField(max_length=8)  # NSE, BSE
    segment = models.CharField(max_length=12)  # NSE_EQ, NSE_INDEX, NSE_FO, BSE_INDEX
    instrument_type = models.CharField(max_length=8)  # EQ, BE, INDEX, FUT, CE, PE
    security_type = models.CharField(max_length=12, blank=True)  # NORMAL, SME, PCA, IPO
    exchange_token = models.CharField(max_length=24, blank=True)
    sector = models.CharField(max_length=60, blank=True)
    tick_size = PriceField(default="0.05", help_text="Rupees.")
    lot_size = models.PositiveIntegerField(default=1)
    freeze_quantity = models.PositiveIntegerField(default=0, help_text="0: none.")
    underlying_key = models.CharField(max_length=64, blank=True)
    expiry_date = models.DateField(null=True, blank=True)
    strike_price = PriceField(null=True, blank=True)
    weekly = models.BooleanField(default=False)
    cas_eligible = models.BooleanField(
        default=False, help_text="Trades in the closing auction (shares with F&O contracts)."
    )
    in_universe = models.BooleanField(
        default=False, help_text="Listed on the market page and swept by REST."
    )
    active = models.BooleanField(default=True, help_text="In the newest instrument file.")
    halted = models.BooleanField(default=False)
    halt_reason = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(tick_size__gte=0), name="instrument_tick_size_not_negative"
            ),
            models.CheckConstraint(
                condition=models.Q(lot_size__gte=1), name="instrument_lot_size_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["symbol"], name="instrument_symbol"),
            models.Index(fields=["segment", "active"], name="instrument_segment"),
            models.Index(fields=["underlying_key", "expiry_date"], name="instrument_chain"),
        ]

    def __str__(self) -> str:
        return self.symbol

    @property
    def tradable(self) -> bool:
        return self.active and not self.halted and not self.segment.endswith("_INDEX")


class IndexMember(models.Model):
    """One share in one index, with its weight in percent."""

    index = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="members")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="memberships")
    weight = models.FloatField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["index", "instrument"], name="index_member_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.instrument.symbol} in {self.index.symbol}"


class LastPrice(models.Model):
    """The newest price that reached the database: the end of the fallback chain."""

    instrument = models.OneToOneField(Instrument, on_delete=models.CASCADE, primary_key=True)
    last_price = PriceField()
    previous_close = PriceField(null=True)
    open = PriceField(null=True)
    high = PriceField(null=True)
    low = PriceField(null=True)
    volume = models.BigIntegerField(default=0)
    traded_at = models.DateTimeField()
    source = models.CharField(max_length=12)
    stored_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.instrument.symbol


class Candle(models.Model):
    """Open, high, low, close and volume of [start, start + interval)."""

    class Interval(models.TextChoices):
        MINUTE = "1m", "1 minute"
        DAY = "1d", "1 day"

    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    interval = models.CharField(max_length=3, choices=Interval)
    start = models.DateTimeField()
    open = PriceField()
    high = PriceField()
    low = PriceField()
    close = PriceField()
    volume = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "interval", "start"], name="candle_unique"
            ),
            models.CheckConstraint(
                condition=models.Q(high__gte=models.F("low")), name="candle_high_not_below_low"
            ),
        ]


class CalendarDay(models.Model):
    """A day that differs from the regular week: a holiday, or a special session.

    Seeded for 2024 to 2026 and edited by administrators; a year without any row follows the
    bundled table. The engine and the fetchers take changes over within half a minute.
    """

    session_date = models.DateField()
    description = models.CharField(max_length=120)
    spans = models.TextField(
        blank=True,
        help_text=(
            "Empty: a holiday. Else one span a line, in exchange time: "
            "PRE_OPEN 17:45-18:00, then CONTINUOUS 18:00-19:00."
        ),
    )
    markets = models.CharField(
        max_length=120,
        blank=True,
        help_text="Empty: every market. Else some of NSE_EQ, NSE_EQ_CAS, NSE_INDEX, NSE_FO, …",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["session_date", "markets"], name="calendar_day_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.session_date}: {self.description}"

    def clean(self) -> None:
        try:
            self.spans = sessions.format_spans(sessions.parse_spans(self.spans))
        except sessions.SpansError as error:
            raise ValidationError({"spans": str(error)}) from error
        names = self.markets.replace(",", " ").split()
        unknown = [name for name in names if name not in sessions.MARKETS]
        if unknown:
            raise ValidationError({"markets": f"Unknown: {', '.join(unknown)}."})
        self.markets = ",".join(names)


class ClosingPrice(models.Model):
    """The closing price of one instrument in one session: written once, never changed.

    It becomes the next session's previous close, and the price of end-of-day valuations.
    """

    instrument = models.ForeignKey(Instrument, on_delete=models.PROTECT, related_name="+")
    session_date = models.DateField()
    close = PriceField()
    previous_close = PriceField(null=True)
    open = PriceField(null=True)
    high = PriceField(null=True)
    low = PriceField(null=True)
    volume = models.BigIntegerField(default=0)
    source = models.CharField(max_length=12)
    traded_at = models.DateTimeField()
    stored_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instrument", "session_date"], name="closing_price_unique"
            ),
            models.CheckConstraint(condition=models.Q(close__gt=0), name="closing_price_positive"),
        ]
        indexes = [models.Index(fields=["session_date"], name="closing_price_by_day")]

    def __str__(self) -> str:
        return f"{self.instrument.symbol} on {self.session_date}"


class NewsSource(models.Model):
    """Where headlines come from: an RSS or Atom feed, or the price source's own news."""

    class Kind(models.TextChoices):
        FEED = "FEED", "RSS or Atom feed"
        EXCHANGE = "EXCHANGE", "News of the price source (Upstox, or the simulated exchange)"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.FEED)
    url = models.URLField(
        max_length=500, blank=True, help_text="Of a feed; the price source has its own address."
    )
    active = models.BooleanField(default=True)
    fetched_at = models.DateTimeField(null=True, blank=True, editable=False)
    etag = models.CharField(max_length=200, blank=True, editable=False)
    last_modified = models.CharField(max_length=80, blank=True, editable=False)
    last_error = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["url"], condition=~models.Q(url=""), name="news_source_url_unique"
            ),
            models.UniqueConstraint(
                fields=["kind"],
                condition=models.Q(kind="EXCHANGE"),
                name="news_source_one_of_the_exchange",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="EXCHANGE", url="")
                | (models.Q(kind="FEED") & ~models.Q(url="")),
                name="news_source_feed_has_url",
                violation_error_message="A feed has an address, the price source has none here.",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class NewsItem(models.Model):
    """One headline. Text only: markup is removed when it is stored."""

    source = models.ForeignKey(NewsSource, on_delete=models.CASCADE, related_name="items")
    guid = models.CharField(max_length=64)  # SHA-256 of what the feed calls its identity
    title = models.CharField(max_length=300)
    summary = models.CharField(max_length=600, blank=True)
    link = models.URLField(max_length=1000)
    published_at = models.DateTimeField()
    fetched_at = models.DateTimeField()
    instruments = models.ManyToManyField(Instrument, blank=True, related_name="news")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["source", "guid"], name="news_item_unique"),
        ]
        indexes = [models.Index(fields=["-published_at"], name="news_by_time")]

    def __str__(self) -> str:
        return self.title

    @property
    def is_made_up(self) -> bool:
        """Whether the simulated exchange wrote it: its link leads nowhere."""
        return self.link.startswith("https://example.com/news/")

    @property
    def shown_source(self) -> str:
        """Who says so. What is made up says it, also after the price source has changed."""
        return gettext_noop("Simulated newswire") if self.is_made_up else self.source.name


class Watchlist(models.Model):
    """A user's named, ordered list; all lists of a user together hold up to 100."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="watchlists"
    )
    name = models.CharField(max_length=40)
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "name"], name="watchlist_name_unique"),
        ]

    def __str__(self) -> str:
        return self.name


class WatchlistItem(models.Model):
    watchlist = models.ForeignKey(Watchlist, on_delete=models.CASCADE, related_name="items")
    instrument = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    position = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["watchlist", "instrument"], name="watchlist_item_unique"
            ),
        ]


class OptionChainSnapshot(models.Model):
    """A swept option chain: through the session at the REST interval, and once at each close.

    `columns` is what marketdata.options.sweep.pack_small makes: 13 kB for 90 strikes. Session rows
    go after OPTION_SESSION_DAYS. With 215 underlyings of 90 strikes, their nearest expiries swept
    every 2 to 5 minutes and the further ones every 15, a day is 23,400 rows or 300 MB; closing
    rows stay for ever, because IV rank needs a year of them: 442 a session, 1.4 GB a year. On
    PostgreSQL they lie in partitions (marketdata/options/partitions.py).
    """

    class Kind(models.TextChoices):
        SESSION = "SESSION", "During the session"
        CLOSE = "CLOSE", "At the close"

    underlying = models.ForeignKey(Instrument, on_delete=models.CASCADE, related_name="+")
    expiry_date = models.DateField()
    kind = models.CharField(max_length=7, choices=Kind)
    session_date = models.DateField()
    taken_at = models.DateTimeField()
    spot = models.FloatField()
    volatility = models.FloatField(null=True, help_text="At the money, a fraction a year.")
    put_call_ratio = models.FloatField(null=True, help_text="By open interest.")
    max_pain = models.FloatField(null=True)
    blast_probability = models.FloatField(null=True)
    blast_move = models.FloatField(null=True, help_text="Rupees that the blast figure is about.")
    columns = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                # session_date follows from taken_at; partitions want it in the index
                fields=["underlying", "expiry_date", "taken_at", "kind", "session_date"],
                name="option_chain_snapshot_unique",
            ),
            models.UniqueConstraint(
                fields=["underlying", "expiry_date", "session_date"],
                condition=models.Q(kind="CLOSE"),
                name="option_chain_close_unique",
            ),
        ]
        indexes = [
            models.Index(fields=["kind", "session_date"], name="option_chain_by_day"),
        ]

    def __str__(self) -> str:
        return f"{self.underlying.symbol} {self.expiry_date}"


class BrokerToken(models.Model):
    """A token of the broker, encrypted. Rows stay as a record; one at most has not ended."""

    class Kind(models.TextChoices):
        OAUTH = "OAUTH", "Login (until 03:30)"
        ANALYTICS = "ANALYTICS", "Analytics token (a year, read-only)"

    kind = models.CharField(max_length=10, choices=Kind)
    ciphertext = models.TextField(blank=True, editable=False)
    last_four = models.CharField(max_length=4)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField()
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=models.Q(ended_at=None),
                name="broker_token_one_at_a_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} …{self.last_four}"


class LiveAcknowledgement(models.Model):
    """An administrator's statement that live prices may be used here, word for word."""

    text = models.TextField()
    stated_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    stated_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
