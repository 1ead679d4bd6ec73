"""How a fill is decided: one order against one quote. Pure; no clock, no database.

`match` is a function of the order, the quote, the liquidity left to this student (or class) and
the settings, all of which a fill stores, so that `verify_fills` can decide it again. The rules:

1. Outside continuous trading nothing fills here (auctions match at one price, auction.py).
2. A quote older than `quote_age_ms_max` fills nothing: the order waits and says why.
3. A stop wakes when the last price of a trade after its acceptance reaches the trigger; the
   same tick may then fill it.
4. A market order, and a limit order on its first meeting with the book, walk the displayed
   levels of the other side up to their limit, at the displayed prices.
5. What is left of a limit order rests at its limit, and fills there: with what the other side
   displays at the limit or better, or, when trades go through the limit, with a share of the
   volume traded (`participation`).
6. Quantity taken from a level stays taken until that level shows another quantity
   (trading/liquidity.py gives `offers` net of it).
7. Without a displayed book, an order that takes pays last price plus half a model spread plus
   a slippage that grows with its share of the day's volume.
8. No fill outside the price band, and none beyond the order's limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from marketdata.quotes import Level
from mockmarket.core.records import record
from trading.bands import to_tick

CONTINUOUS = "CONTINUOUS"
CLOSING_AUCTION = "CLOSING_AUCTION"

_BPS = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the matcher may be tuned by; stored with every fill.

    `participation` is the largest part of traded volume that resting orders of one student get.
    Spread and slippage in basis points are those of the model without a book.
    """

    quote_age_ms_max: int = 5_000
    participation: Decimal = Decimal("0.25")
    half_spread_bps: Decimal = Decimal(5)
    slippage_bps_per_percent: Decimal = Decimal(10)
    volume_share_max: Decimal = Decimal("0.05")


@dataclass(frozen=True, slots=True)
class Market:
    """A quote as matching sees it. Prices exact, times in epoch milliseconds.

    `bids` and `asks` are as displayed, best first. `book_received_ms` is when the book arrived,
    `received_ms` the newest update of any kind. `band_low` and `band_high` are inclusive.
    """

    instrument_key: str
    tick_size: Decimal
    phase: str
    source: str
    received_ms: int
    exchange_ms: int
    last_price: Decimal | None = None
    volume: int | None = None
    bids: tuple[Level, ...] = ()
    asks: tuple[Level, ...] = ()
    book_received_ms: int | None = None
    band_low: Decimal | None = None
    band_high: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Working:
    """An order as the matcher sees it.

    `limit` is the limit or protection price. `market` orders never rest. `resting` orders met
    the book before. `armed` stops have seen a trade since they were accepted.
    """

    buy: bool
    quantity: int
    filled: int
    limit: Decimal | None
    market: bool
    ioc: bool = False
    trigger: Decimal | None = None
    triggered: bool = False
    armed: bool = False
    resting: bool = False

    @property
    def open_quantity(self) -> int:
        return self.quantity - self.filled


@dataclass(frozen=True, slots=True)
class Match:
    """One fill decided."""

    quantity: int
    price: Decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """What one look at the market does to an order.

    `waiting` is the reason why a due order cannot fill on this quote. `path` names the rules
    that led here, in order. These and `cancel` are records (core/records.py).
    """

    matches: tuple[Match, ...] = ()
    triggered: bool = False
    resting: bool = False
    cancel: str = ""
    waiting: str = ""
    path: tuple[str, ...] = ()

    @property
    def quantity(self) -> int:
        return sum(match.quantity for match in self.matches)


NOTHING = Decision()


def match(
    *,
    order: Working,
    market: Market,
    offers: Sequence[Level] | None,
    traded: int,
    settings: Settings,
    now_ms: int,
) -> Decision:
    """Decide what `order` does on `market`.

    `offers` are the levels of the other side net of what was taken from them, None when no book
    is displayed; `traded` is the volume through which resting orders may still fill (already
    cut to the participation).
    """
    path: list[str] = []
    triggered = order.triggered or order.trigger is None
    if market.phase != CONTINUOUS:
        return NOTHING
    if not triggered:
        if not _reaches_trigger(order, market):
            return NOTHING
        triggered = True
        path.append(record("stop", last=_text(market.last_price), trigger=_text(order.trigger)))
    woken = triggered and not (order.triggered or order.trigger is None)
    age = now_ms - market.received_ms
    if not is_fresh(market.received_ms, settings=settings, now_ms=now_ms):
        return Decision(
            triggered=woken,
            waiting=record("stale_quote", seconds=f"{abs(age) / 1000:.0f}"),
            path=tuple(path),
        )
    path.append(record("quote", age=age, source=market.source))

    book = _fresh_book(market, settings, now_ms)
    if order.resting:
        matches = _rest(order, market, offers if book else None, traded, path)
    elif book:
        matches = _walk(order, market, offers or (), path)
    else:
        matches = _without_book(order, market, settings, path)
    left = order.open_quantity - sum(found.quantity for found in matches)
    cancel = ""
    if order.ioc and left:
        cancel = record("ioc")
    return Decision(
        matches=tuple(matches),
        triggered=woken,
        resting=not order.resting and not order.market and bool(left) and not order.ioc,
        cancel=cancel,
        path=tuple(path),
    )


def _reaches_trigger(order: Working, market: Market) -> bool:
    if not order.armed or market.last_price is None or order.trigger is None:
        return False
    if order.buy:
        return market.last_price >= order.trigger
    return market.last_price <= order.trigger


def is_fresh(received_ms: int, *, settings: Settings, now_ms: int) -> bool:
    """Whether a quote is young enough to trade on. One from the future is of before the machine's
    clock was set back: it would pass for new until that hour comes again."""
    return abs(now_ms - received_ms) <= settings.quote_age_ms_max


def _fresh_book(market: Market, settings: Settings, now_ms: int) -> bool:
    """Whether a book is displayed that is young enough to trade on."""
    if market.book_received_ms is None:
        return False
    return is_fresh(market.book_received_ms, settings=settings, now_ms=now_ms)


def _acceptable(order: Working, market: Market, price: Decimal) -> bool:
    if order.limit is not None and (price > order.limit if order.buy else price < order.limit):
        return False
    if market.band_low is not None and price < market.band_low:
        return False
    return market.band_high is None or price <= market.band_high


def _walk(order: Working, market: Market, offers: Sequence[Level], path: list[str]) -> list[Match]:
    """Take the displayed levels, best first, up to the limit."""
    left = order.open_quantity
    matches: list[Match] = []
    for level in offers:
        if not left or not _acceptable(order, market, level.price):
            break
        taken = min(left, level.quantity)
        if taken:
            matches.append(Match(taken, level.price))
            left -= taken
    side = "ask" if order.buy else "bid"
    if len(matches) > 1:
        path.append(record("take_levels", levels=len(matches), side=side))
    elif matches:
        path.append(record("take_level", side=side))
    else:
        path.append(record("take_none", side=side, limit=_text(order.limit)))
    return matches


def _rest(
    order: Working,
    market: Market,
    offers: Sequence[Level] | None,
    traded: int,
    path: list[str],
) -> list[Match]:
    """Fill a resting order at its limit, by the other side's display or by trades through it."""
    limit = order.limit
    assert limit is not None, "only limit orders rest"
    if not _acceptable(order, market, limit):
        return []
    shown = sum(level.quantity for level in offers or () if _acceptable(order, market, level.price))
    quantity = min(order.open_quantity, shown)
    if quantity:
        path.append(record("rest_shown", shown=shown, limit=_text(limit)))
    through = market.last_price is not None and (
        market.last_price < limit if order.buy else market.last_price > limit
    )
    if through and traded and quantity < order.open_quantity:
        share = min(order.open_quantity - quantity, traded)
        quantity += share
        path.append(record("rest_through", last=_text(market.last_price), share=traded))
    return [Match(quantity, limit)] if quantity else []


def _without_book(
    order: Working, market: Market, settings: Settings, path: list[str]
) -> list[Match]:
    """Price a taking order where no book is displayed: model spread and slippage."""
    if market.last_price is None:
        path.append(record("model_unknown"))
        return []
    left = order.open_quantity
    share = Decimal(0)
    if market.volume:
        left = min(left, max(1, int(market.volume * settings.volume_share_max)))
        share = Decimal(left) / market.volume * 100
    bps = settings.half_spread_bps + settings.slippage_bps_per_percent * share
    away = market.last_price * bps * _BPS
    price = to_tick(
        market.last_price + (away if order.buy else -away), market.tick_size, up=order.buy
    )
    if price <= 0 or not _acceptable(order, market, price):
        path.append(record("model_beyond", price=_text(price)))
        return []
    path.append(record("model", last=_text(market.last_price), bps=f"{bps:.1f}"))
    return [Match(left, price)]


def _text(price: Decimal | None) -> str:
    return "none" if price is None else f"{price.normalize():f}"
