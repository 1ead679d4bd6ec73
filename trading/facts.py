"""What the risk rules need to know of a portfolio, read under its lock."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import F, Q, QuerySet, Sum

from marketdata import selectors as market
from marketdata.models import IndexMember, Instrument
from mockmarket.core.clock import IST
from mockmarket.core.money import ZERO, money
from portfolios.contests import EVERYTHING, Rules
from portfolios.models import Portfolio, Position
from trading.drafts import OrderDraft
from trading.lifecycle import LIVE
from trading.matching import Settings
from trading.models import Fill, Order
from trading.risk import Standing


def settings_of(rules: Rules) -> Settings:
    """The matcher's settings of a contest."""
    return Settings(
        quote_age_ms_max=settings.QUOTE_AGE_MS_MAX,
        participation=rules.participation_percent / 100,
    )


def open_quantities(orders: QuerySet[Order], *, replacing: Order | None = None) -> tuple[int, int]:
    """Unfilled quantity of live orders to buy and to sell."""
    found = orders.filter(status__in=LIVE)
    if replacing is not None:
        found = found.exclude(pk=replacing.pk)
    unfilled = F("quantity") - F("filled_quantity")
    total = found.aggregate(
        buy=Sum(unfilled, filter=Q(side="BUY")), sell=Sum(unfilled, filter=Q(side="SELL"))
    )
    return total["buy"] or 0, total["sell"] or 0


def standing(
    *,
    portfolio: Portfolio,
    instrument: Instrument,
    draft: OrderDraft,
    rules: Rules,
    at: datetime,
    replacing: Order | None = None,
) -> Standing:
    """What a locked portfolio holds and did, as the rules ask it."""
    orders = Order.objects.filter(portfolio=portfolio, instrument=instrument, product=draft.product)
    positions = list(Position.objects.filter(portfolio=portfolio, instrument=instrument))
    buy_open, sell_open = open_quantities(orders, replacing=replacing)
    freed = replacing.reserved if replacing is not None else ZERO
    return Standing(
        buying_power=portfolio.cash
        - portfolio.reserved
        + freed
        - portfolio.debt
        - portfolio.unsettled,
        equity=equity(portfolio=portfolio, at=at) if rules.position_percent_max else ZERO,
        position=sum(row.quantity for row in positions if row.product == draft.product),
        held=sum(row.quantity for row in positions),
        buy_open=buy_open,
        sell_open=sell_open,
        orders_last_minute=0
        if rules.orders_per_minute_max is None or replacing is not None
        else Order.objects.filter(
            portfolio=portfolio, placed_at__gt=at - timedelta(minutes=1)
        ).count(),
        fills_today=0
        if rules.fills_per_day_max is None
        else Order.objects.filter(
            portfolio=portfolio, filled_quantity__gt=0, updated_at__gte=_midnight(at)
        ).count(),
        last_opposite_at=_last_opposite(portfolio, instrument, draft)
        if rules.cooling_off_seconds
        else None,
        in_universe=in_universe(instrument=instrument, rules=rules),
    )


def equity(*, portfolio: Portfolio, at: datetime) -> Decimal:
    """Cash, margin and open positions at their newest prices (cost where none is known)."""
    held = list(
        Position.objects.filter(portfolio=portfolio)
        .exclude(quantity=0)
        .select_related("instrument")
    )
    quotes = market.quotes([row.instrument.key for row in held], at)
    total: Decimal = portfolio.cash + portfolio.margin
    for row in held:
        quote = quotes.get(row.instrument.key)
        last = None if quote is None else quote.last_price
        total += row.cost if last is None else money(last * row.quantity)
    return total


def in_universe(*, instrument: Instrument, rules: Rules) -> bool:
    """Whether a contest lists the instrument (or the underlying of a derivative)."""
    if rules.universe == EVERYTHING:
        return True
    key = instrument.underlying_key or instrument.key
    if isinstance(rules.universe, tuple):
        return key in rules.universe
    return IndexMember.objects.filter(index__key=rules.universe, instrument__key=key).exists()


def _last_opposite(
    portfolio: Portfolio, instrument: Instrument, draft: OrderDraft
) -> datetime | None:
    return (
        Fill.objects.filter(
            order__portfolio=portfolio,
            order__instrument=instrument,
            order__side="SELL" if draft.buy else "BUY",
        )
        .order_by("-filled_at")
        .values_list("filled_at", flat=True)
        .first()
    )


def _midnight(at: datetime) -> datetime:
    return at.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
