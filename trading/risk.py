"""What the market, the contest and the funds allow. Pure; each refusal is named.

Everything here is asked twice: before the portfolio is locked, to answer fast, and again under
the lock, where the numbers count.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from mockmarket.core.errors import DomainError
from mockmarket.core.formats import rupees
from mockmarket.core.money import ZERO
from portfolios.contests import EVERYTHING, Rules
from trading.bands import to_tick
from trading.drafts import OrderDraft, Terms
from trading.matching import CLOSING_AUCTION, Market

# How far from the last price a market order may fill: beyond it, it waits like a limit order.
PROTECTION_PERCENT = Decimal(3)
# An order by market needs a price to size its funds by; older than this is none. Shares that
# nobody watches are swept every two minutes: an order for one of them waits for its next tick.
REFERENCE_AGE_MS_MAX = 300_000


class StaleQuote(DomainError):
    """No price, or one too old to trust with money."""

    code = "stale_quote"
    status = 409


class PriceOutOfBand(DomainError):
    code = "price_out_of_band"


class AuctionBand(PriceOutOfBand):
    """Outside the closing auction's band around its reference price; `fields["rule"]` says so."""

    code = "auction_band"


class InvalidTrigger(DomainError):
    """The trigger would fire at once."""

    code = "invalid_trigger"


class InsufficientCash(DomainError):
    code = "insufficient_cash"
    status = 409


class InsufficientHoldings(DomainError):
    code = "insufficient_holdings"
    status = 409


class ContestRule(DomainError):
    """A rule of the contest forbids it; `fields["rule"]` names the rule."""

    code = "contest_rule"
    status = 409

    def __init__(self, rule: str, message: str) -> None:
        super().__init__(message, fields={"rule": rule})
        self.rule = rule


def check_market(draft: OrderDraft, market: Market, *, now_ms: int) -> None:
    """Refuse prices outside the band, triggers already reached, and orders without a price."""
    if draft.order_type in {"MARKET", "SL_M"} and draft.trigger_price is None:
        if market.last_price is None:
            raise StaleQuote("There is no price of this instrument yet. Use a limit order.")
        age_ms = now_ms - market.received_ms
        # In the closing auction nothing trades: its reference is old by rule.
        if age_ms > REFERENCE_AGE_MS_MAX and market.phase != CLOSING_AUCTION:
            raise StaleQuote(
                f"The newest price is {age_ms // 1000} s old. Use a limit order, or wait."
            )
    for name, price in (("price", draft.price), ("trigger_price", draft.trigger_price)):
        if price is None:
            continue
        low, high = market.band_low, market.band_high
        if (low is None or price >= low) and (high is None or price <= high):
            continue
        if market.phase == CLOSING_AUCTION:
            message = f"The closing auction takes prices from ₹{low} to ₹{high}."
            raise AuctionBand(message, fields={name: message, "rule": "closing_auction_band"})
        message = f"Today's prices lie between ₹{low} and ₹{high}."
        raise PriceOutOfBand(message, fields={name: message})
    check_trigger(buy=draft.buy, trigger=draft.trigger_price, market=market)


def check_trigger(*, buy: bool, trigger: Decimal | None, market: Market) -> None:
    """Refuse a stop that the last price has reached already. Raises InvalidTrigger."""
    last = market.last_price
    if trigger is None or last is None:
        return
    if buy and trigger <= last:
        message = f"A stop to buy needs a trigger above the last price, ₹{last.normalize():f}."
        raise InvalidTrigger(message, fields={"trigger_price": message})
    if not buy and trigger >= last:
        message = f"A stop to sell needs a trigger below the last price, ₹{last.normalize():f}."
        raise InvalidTrigger(message, fields={"trigger_price": message})


def protection_price(*, buy: bool, reference: Decimal, market: Market) -> Decimal:
    """The worst price of an order by market: `PROTECTION_PERCENT` beyond `reference`, in band; in
    the closing auction the edge of its band, because it trades at whatever the auction finds."""
    edge = market.band_high if buy else market.band_low
    if market.phase == CLOSING_AUCTION and edge is not None:
        return edge
    away = reference * PROTECTION_PERCENT / 100
    price = to_tick(reference + away if buy else reference - away, market.tick_size, up=buy)
    if buy and market.band_high is not None:
        return min(price, market.band_high)
    if not buy and market.band_low is not None:
        return max(price, market.band_low)
    return max(price, market.tick_size or Decimal("0.0001"))


def worst_price(draft: OrderDraft, market: Market) -> Decimal:
    """The price that an order's funds are reckoned at: its limit, or its protection.

    An order to sell by limit may fill above it; a short is margined at its limit or the last
    price, whichever is more.
    """
    if draft.price is not None:
        if draft.buy or market.last_price is None:
            return draft.price
        return max(draft.price, market.last_price)
    reference = draft.trigger_price or market.last_price
    assert reference is not None, "check_market refuses orders by market without a price"
    if draft.buy:
        return protection_price(buy=True, reference=reference, market=market)
    return reference


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a portfolio holds and did, for the rules. Rupees and signed quantities.

    `position` is in the order's product, `held` over all products; `sell_open` the unfilled
    quantity of live orders to sell in the product. `last_opposite_at` is the newest fill on the
    other side of the same instrument.
    """

    buying_power: Decimal
    equity: Decimal
    position: int
    held: int
    buy_open: int
    sell_open: int
    orders_last_minute: int
    fills_today: int
    last_opposite_at: datetime | None
    in_universe: bool


def check_rules(
    draft: OrderDraft, *, terms: Terms, rules: Rules, standing: Standing, price: Decimal,
    opening: int, at: datetime, stake: Decimal | None = None,
) -> None:  # fmt: skip
    """Refuse what the contest forbids. Raises ContestRule naming the rule.

    `stake` is what a unit on margin puts down, where that is not its price.
    """
    symbol = terms.symbol
    if draft.product not in rules.products:
        raise ContestRule("products", f"This contest trades {', '.join(rules.products)} only.")
    if terms.instrument_type in {"CE", "PE"} and not rules.options:
        raise ContestRule("options", "This contest does not trade options.")
    if terms.instrument_type == "FUT" and not rules.futures:
        raise ContestRule("futures", "This contest does not trade futures.")
    if rules.universe != EVERYTHING and not standing.in_universe and opening:
        raise ContestRule("universe", f"{symbol} is not in this contest's list of shares.")
    shares = not terms.segment.endswith("_FO")
    if rules.min_price is not None and price < rules.min_price and opening and shares:
        raise ContestRule("min_price", f"Shares below ₹{rules.min_price} are not traded here.")
    if rules.reason_required and not draft.reason.strip():
        raise ContestRule("reason_required", "Say why you place this order.")
    value = price * draft.quantity
    if rules.order_value_max is not None and value > rules.order_value_max:
        raise ContestRule(
            "order_value_max", f"One order is worth at most {rupees(rules.order_value_max)}."
        )
    _check_pace(rules, standing, at)
    if opening and rules.position_percent_max is not None:
        signed = draft.quantity if draft.buy else -draft.quantity
        pending = standing.buy_open if draft.buy else -standing.sell_open
        exposure = abs(standing.held + pending + signed) * (price if stake is None else stake)
        if exposure > standing.equity * rules.position_percent_max / 100:
            raise ContestRule(
                "position_percent_max",
                f"At most {rules.position_percent_max} % of your equity may stand in one share.",
            )
    if opening and not draft.buy and shares and not rules.shorts:
        raise ContestRule("shorts", "This contest does not allow selling short.")


def _check_pace(rules: Rules, standing: Standing, at: datetime) -> None:
    limit = rules.orders_per_minute_max
    if limit is not None and standing.orders_last_minute >= limit:
        raise ContestRule("orders_per_minute_max", f"At most {limit} orders a minute.")
    limit = rules.fills_per_day_max
    if limit is not None and standing.fills_today >= limit:
        raise ContestRule("fills_per_day_max", f"At most {limit} trades a day.")
    cooling = timedelta(seconds=rules.cooling_off_seconds)
    if cooling and standing.last_opposite_at and at - standing.last_opposite_at < cooling:
        raise ContestRule(
            "cooling_off_seconds",
            f"Wait {rules.cooling_off_seconds} s between buying and selling the same share.",
        )


def check_holdings(draft: OrderDraft, standing: Standing, *, symbol: str) -> None:
    """Delivery sells only what is owned and not already on offer. Raises InsufficientHoldings."""
    if draft.buy or draft.product != "CNC":
        return
    free = standing.position - standing.sell_open
    if draft.quantity > free:
        owned = f"You own {standing.position} of {symbol}"
        offered = f" and already offer {standing.sell_open}" if standing.sell_open else ""
        message = f"{owned}{offered}; you can sell {max(0, free)}."
        raise InsufficientHoldings(message, fields={"quantity": message})


def check_cash(*, needed: Decimal, available: Decimal) -> None:
    """Raises InsufficientCash with both amounts."""
    if needed > available:
        short = needed - max(available, ZERO)
        message = (
            f"Not enough cash: this order needs {rupees(needed)}, you have {rupees(available)}:"
            f" {rupees(short)} short."
        )
        raise InsufficientCash(message, fields={"quantity": message})
