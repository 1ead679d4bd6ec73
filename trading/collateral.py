"""What the broker must hold for a portfolio's futures and options on one underlying.

The scenario margin (trading/span.py) is reckoned over all contracts of an underlying together, at
live prices and volatilities, so that hedges count. What a student puts down is that margin less
the premiums that the written options brought in, which the broker holds already.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from django.db.models import Q, QuerySet

from marketdata import selectors as market
from marketdata.models import Instrument
from marketdata.options import pricing
from marketdata.options.chain import Chain
from marketdata.options.selectors import cached_chain, years_to_expiry
from mockmarket.core.money import ZERO, money
from portfolios import booking, positions
from portfolios.models import Portfolio, Position
from trading import span
from trading.drafts import InvalidOrder
from trading.lifecycle import LIVE
from trading.models import Order
from trading.risk import StaleQuote

RATE: Final = 0.065
# Where neither a price nor a swept chain tells an option's volatility.
USUAL_VOLATILITY: Final = {True: 0.18, False: 0.35}  # of an index, of a share
_VOLATILITIES: Final = (0.02, 3.0)  # outside lies a stale or broken price
_UNIT_STEP: Final = Decimal("0.0001")
FUTURES_AND_OPTIONS: Final = Q(instrument__segment__endswith="_FO")


@dataclass(frozen=True, slots=True)
class Reckoning:
    """A scenario margin with everything that it follows from."""

    spot: float
    index: bool
    legs: tuple[span.Leg, ...]

    @property
    def margin(self) -> span.Margin:
        """What the broker must hold, premiums received included."""
        parameters = span.INDEX if self.index else span.SHARE
        return span.margin(self.legs, spot=self.spot, parameters=parameters, rate=RATE)

    def as_json(self) -> dict[str, Any]:
        """For a record that can be reckoned again."""
        return {
            "spot": self.spot,
            "index": self.index,
            "legs": [asdict(leg) for leg in self.legs],
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> "Reckoning":
        """What `as_json` made."""
        legs = tuple(span.Leg(**leg) for leg in stored["legs"])
        return cls(spot=stored["spot"], index=stored["index"], legs=legs)


def reckon(
    *,
    underlying_key: str,
    quantities: Mapping[int, int],
    contracts: Mapping[int, Instrument],
    at: datetime,
    prices: Mapping[int, Decimal] | None = None,
) -> Reckoning:
    """The margin of signed `quantities` by instrument id, at the market of `at`.

    `prices` stand in for contracts without a quote. Raises StaleQuote when the underlying has no
    price.
    """
    [found] = reckon_each(
        underlying_key=underlying_key, each=[quantities], contracts=contracts, at=at, prices=prices
    )
    return found


def reckon_each(
    *,
    underlying_key: str,
    each: Sequence[Mapping[int, int]],
    contracts: Mapping[int, Instrument],
    at: datetime,
    prices: Mapping[int, Decimal] | None = None,
) -> list[Reckoning]:
    """`reckon` for several sets of quantities at one look at the market."""
    keys = dict.fromkeys(key for one in each for key, quantity in one.items() if quantity)
    held = [contracts[key] for key in keys]
    quotes = market.quotes([underlying_key, *(row.key for row in held)], at)
    chains = {
        day: cached_chain(underlying_key, day)
        for day in {row.expiry_date for row in held if row.instrument_type != "FUT"}
        if day is not None
    }
    spot = _spot(quotes.get(underlying_key), chains.values())
    index = "_INDEX" in underlying_key

    def known(row: Instrument) -> float:
        quote = quotes.get(row.key)
        found = None if quote is None else quote.last_price
        return float(found or (prices or {}).get(row.pk) or 0)

    units = {
        row.pk: _leg(
            row,
            price=known(row),
            spot=spot,
            usual=USUAL_VOLATILITY[index],
            chain=None if row.expiry_date is None else chains.get(row.expiry_date),
            at=at,
        )
        for row in held
    }
    return [
        Reckoning(
            spot=spot,
            index=index,
            legs=tuple(
                replace(units[key], quantity=quantity) for key, quantity in one.items() if quantity
            ),
        )
        for one in each
    ]


def _spot(quote: market.QuoteView | None, chains: Iterable[Chain | None]) -> float:
    if quote is not None and quote.last_price:
        return float(quote.last_price)
    for chain in chains:
        if chain is not None and chain.spot > 0:
            return chain.spot
    raise StaleQuote("The underlying has no price yet, so the margin cannot be reckoned.")


def _leg(
    row: Instrument,
    *,
    price: float,
    spot: float,
    usual: float,
    chain: Chain | None,
    at: datetime,
) -> span.Leg:
    assert row.expiry_date is not None, "a contract expires"
    years = years_to_expiry(row.expiry_date, at)
    if row.instrument_type == "FUT":
        return span.Leg(kind="FUT", quantity=1, price=price or spot, years=years)
    assert row.strike_price is not None, "an option has a strike"
    strike, is_call = float(row.strike_price), row.instrument_type == "CE"
    volatility = _implied(price, spot, strike, years, is_call=is_call)
    if volatility is None:
        volatility = _swept(chain, row.key, is_call=is_call) or usual
    if not price:
        price = float(
            pricing.price(
                spot=spot,
                strike=strike,
                years=years,
                volatility=volatility,
                is_call=is_call,
                rate=RATE,
            )
        )
    return span.Leg(
        kind="CE" if is_call else "PE",
        quantity=1,
        price=price,
        years=years,
        strike=strike,
        volatility=volatility,
    )


def _implied(
    price: float, spot: float, strike: float, years: float, *, is_call: bool
) -> float | None:
    if not price:
        return None
    found = pricing.implied_volatility(
        price=price, spot=spot, strike=strike, years=years, is_call=is_call, rate=RATE
    )
    value = float(found.volatility)
    return value if _VOLATILITIES[0] <= value <= _VOLATILITIES[1] else None


def _swept(chain: Chain | None, key: str, *, is_call: bool) -> float | None:
    if chain is None:
        return None
    side = chain.calls if is_call else chain.puts
    if key not in side.keys:
        return None
    value = float(side.volatility[side.keys.index(key)])
    return value if _VOLATILITIES[0] <= value <= _VOLATILITIES[1] else None


# --- Of a portfolio ---------------------------------------------------------------------
def held(*, portfolio_id: int, underlying_key: str) -> list[Position]:
    """A portfolio's open positions in the contracts of an underlying, by id."""
    found = Position.objects.filter(
        FUTURES_AND_OPTIONS,
        portfolio_id=portfolio_id,
        instrument__underlying_key=underlying_key,
    ).exclude(quantity=0)
    return list(found.select_related("instrument").order_by("pk"))


def needs_margin(position: Position) -> bool:
    """Futures and written options stand on margin; a bought option is paid for."""
    return position.instrument.instrument_type == "FUT" or position.quantity < 0


def put_down(rows: Sequence[Position]) -> Decimal:
    """Rupees that stand against the positions on margin."""
    return sum((row.margin for row in rows if needs_margin(row)), ZERO)


def premiums(rows: Sequence[Position]) -> Decimal:
    """Rupees that the written options brought in, and the broker holds."""
    written = [row for row in rows if row.quantity < 0 and row.instrument.instrument_type != "FUT"]
    return -sum((row.cost for row in written), ZERO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An order as its margin is asked for: unfilled `quantity`, of which `opening` opens.

    `price` is the premium or the price of the future to expect; `replacing` the order that is
    being modified.
    """

    instrument: Instrument
    buy: bool
    product: str
    quantity: int
    opening: int
    price: Decimal
    replacing: Order | None = None


def unit(*, portfolio: Portfolio, asked: Asked, at: datetime) -> Decimal | None:
    """Rupees a unit that opening a future or writing an option puts down, net of the premium;
    negative where the premium of a hedged one is free to use. None for a bought option.

    Raises StaleQuote without a price of the underlying, InvalidOrder for a part-filled order that
    was accepted to close and now would open.
    """
    future = asked.instrument.instrument_type == "FUT"
    if not future and asked.buy:
        return None
    order = asked.replacing
    if order is not None and order.filled_quantity:  # its fills carry the unit that it began with
        if order.margin_unit is None:
            raise InvalidOrder("A part of it has closed a position. Place a new order to open one.")
        began_with: Decimal = order.margin_unit
        return began_with
    raised = _increase(portfolio=portfolio, asked=asked, at=at)
    premium = Decimal(0) if future else asked.price
    return (raised / asked.opening - premium).quantize(_UNIT_STEP, rounding=ROUND_CEILING)


def to_close(*, portfolio: Portfolio, asked: Asked, at: datetime) -> Decimal:
    """Rupees that must be free before a position is closed that hedges others: what the margin
    rises by, less what closing brings. Zero for everything else, whatever it loses."""
    try:
        raised = _increase(portfolio=portfolio, asked=asked, at=at)
    except StaleQuote:  # nobody is kept in a position for want of a price
        return ZERO
    if raised <= 0:
        return ZERO
    position = Position.objects.get(
        portfolio=portfolio, instrument=asked.instrument, product=asked.product
    )
    fact = positions.FillFact(
        buy=asked.buy, quantity=asked.quantity, price=asked.price, charges=ZERO
    )
    brings = positions.apply(booking.book_of(position), fact)[1].cash
    return max(ZERO, money(raised - brings))


def _increase(*, portfolio: Portfolio, asked: Asked, at: datetime) -> Decimal:
    """By how much the order raises the margin of its underlying; negative when it is a hedge.

    Live orders that would open on margin count as filled: what hedges them is not sold first.
    """
    instrument = asked.instrument
    underlying_key = instrument.underlying_key
    contracts = {instrument.pk: instrument}
    before: dict[int, int] = {}
    for row in held(portfolio_id=portfolio.pk, underlying_key=underlying_key):
        contracts[row.instrument_id] = row.instrument
        before[row.instrument_id] = before.get(row.instrument_id, 0) + row.quantity
    for order in _pending(portfolio, underlying_key, asked.replacing):
        contracts[order.instrument_id] = order.instrument
        signed = order.open_quantity if order.buy else -order.open_quantity
        before[order.instrument_id] = before.get(order.instrument_id, 0) + signed
    signed = asked.quantity if asked.buy else -asked.quantity
    after = {**before, instrument.pk: before.get(instrument.pk, 0) + signed}
    totals = [
        reckon(
            underlying_key=underlying_key,
            quantities=quantities,
            contracts=contracts,
            at=at,
            prices={instrument.pk: asked.price},
        ).margin.total
        for quantities in (after, before)
    ]
    return totals[0] - totals[1]


def _pending(portfolio: Portfolio, underlying_key: str, replacing: Order | None) -> QuerySet[Order]:
    found = Order.objects.filter(
        FUTURES_AND_OPTIONS,
        portfolio=portfolio,
        status__in=LIVE,
        margin_unit__isnull=False,
        instrument__underlying_key=underlying_key,
    )
    if replacing is not None:
        found = found.exclude(pk=replacing.pk)
    return found.select_related("instrument")
