"""What a portfolio is worth: plain Decimal arithmetic over what is booked and what things cost.

For every product:

equity    cash + margin + sum(quantity x last price), where margin is the signed balance of the
          MARGIN account.
invested  what the student has put down for what they hold: the cost where it is paid in full, the
          margin otherwise (a future, a written option, an intraday position). So
          equity = cash + invested + unrealised - debt.
day P&L   of a position, before charges: the quantity held when the session began from the previous
          close, the session's own fills from their prices. Of a portfolio: the sum of its
          positions, and what the session booked beside them (`day_booked`): dividends less charges
          of every kind. That is equity less equity at the last close, without the cash that staff
          paid in or took out. Marking a future to market moves cash against its cost, so it
          changes no day; a corporate action changes quantity and price alike.

portfolios/book.py does the same for everybody at once, in columns. Pure: no Django.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from mockmarket.core.money import ZERO, money

_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class PositionRow:
    """A position as booked. `day_*` count the fills (and the expiry) of `session_date` only;
    rupees signed."""

    instrument_key: str
    symbol: str
    product: str
    quantity: int
    cost: Decimal
    session_date: date | None = None
    day_quantity: int = 0
    day_cost: Decimal = ZERO

    def today(self, session_date: date) -> tuple[int, Decimal]:
        """Quantity and cost of the fills of `session_date`."""
        if self.session_date != session_date:
            return 0, ZERO
        return self.day_quantity, self.day_cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What a portfolio holds and what was booked to it, in rupees. `day_booked`: the dividends less
    the charges of the session that it was read for."""

    cash: Decimal
    reserved: Decimal
    margin: Decimal
    paid_in: Decimal
    realised: Decimal
    charges: Decimal
    dividends: Decimal
    positions: tuple[PositionRow, ...] = ()
    debt: Decimal = ZERO
    unsettled: Decimal = ZERO
    day_booked: Decimal = ZERO

    @property
    def invested(self) -> Decimal:
        """Rupees put down for what is held. MARGIN carries, for each position, what was put down
        less its cost, and the debt."""
        return self.margin + self.debt + sum((p.cost for p in self.positions), ZERO)

    @property
    def buying_power(self) -> Decimal:
        """Rupees that a new order may reserve; never negative."""
        return max(ZERO, self.cash - self.reserved - self.debt - self.unsettled)


@dataclass(frozen=True, slots=True, kw_only=True)
class PortfolioRow(Books):
    """A portfolio as booked. `version` is its newest ledger entry's number."""

    id: int
    contest_id: int
    contest: str
    user_id: int
    alias: str
    version: int
    fills: int
    ranked: bool


@dataclass(frozen=True, slots=True)
class Price:
    """A last price and the previous session's close in rupees; None is unknown."""

    last: Decimal | None
    previous_close: Decimal | None


@dataclass(frozen=True, slots=True)
class PositionValue:
    """A position at a price, in rupees. `average_price` has four decimals."""

    instrument_key: str
    symbol: str
    product: str
    quantity: int
    average_price: Decimal
    last_price: Decimal
    cost: Decimal
    value: Decimal
    unrealised_pnl: Decimal
    day_pnl: Decimal


@dataclass(frozen=True, slots=True)
class Value:
    """A portfolio at one set of prices, in rupees and percent."""

    cash: Decimal
    reserved: Decimal
    margin: Decimal
    invested: Decimal
    equity: Decimal
    day_pnl: Decimal
    realised_pnl: Decimal
    unrealised_pnl: Decimal
    charges: Decimal
    return_percent: Decimal
    positions: tuple[PositionValue, ...]


def average_price(*, cost: Decimal, quantity: int) -> Decimal:
    """Rupees per unit of an open position, four decimals; zero when flat."""
    return (cost / quantity).quantize(Decimal("0.0001")) if quantity else Decimal("0.0000")


def value_position(
    *, position: PositionRow, price: Price | None, session_date: date
) -> PositionValue:
    """One position at `price`. Without a last price it stands at cost and has no day;
    without a previous close its day starts at the last price."""
    average = average_price(cost=position.cost, quantity=position.quantity)
    last = average if price is None or price.last is None else price.last
    close = last if price is None or price.previous_close is None else price.previous_close
    value = money(last * position.quantity)
    day_quantity, day_cost = position.today(session_date)
    start_quantity = position.quantity - day_quantity
    day_pnl = value - money(start_quantity * close) - day_cost
    if price is None or price.last is None:
        value = position.cost
        if position.quantity or start_quantity:  # a round trip needs no price
            day_pnl = ZERO
    return PositionValue(
        instrument_key=position.instrument_key,
        symbol=position.symbol,
        product=position.product,
        quantity=position.quantity,
        average_price=average,
        last_price=last,
        cost=position.cost,
        value=value,
        unrealised_pnl=value - position.cost,
        day_pnl=day_pnl,
    )


def value_exact(*, portfolio: Books, prices: Mapping[str, Price], session_date: date) -> Value:
    """The portfolio in plain Decimal arithmetic: what pages and the API show on request, and
    what the columns are tested against."""
    positions = tuple(
        value_position(position=p, price=prices.get(p.instrument_key), session_date=session_date)
        for p in portfolio.positions
    )
    equity = portfolio.cash + portfolio.margin + sum((p.value for p in positions), ZERO)
    return Value(
        cash=portfolio.cash,
        reserved=portfolio.reserved,
        margin=portfolio.margin,
        invested=portfolio.invested,
        equity=equity,
        day_pnl=sum((p.day_pnl for p in positions), portfolio.day_booked),
        realised_pnl=portfolio.realised + portfolio.dividends,
        unrealised_pnl=sum((p.unrealised_pnl for p in positions), ZERO),
        charges=portfolio.charges,
        return_percent=return_percent(equity=equity, paid_in=portfolio.paid_in),
        positions=positions,
    )


def return_percent(*, equity: Decimal, paid_in: Decimal) -> Decimal:
    """Percent gained on the capital paid in, four decimals; zero when nothing was paid in."""
    if not paid_in:
        return Decimal("0.0000")
    return ((equity - paid_in) / paid_in * _HUNDRED).quantize(Decimal("0.0001"))
