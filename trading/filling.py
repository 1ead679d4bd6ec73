"""Book one fill of a locked order: charges, position, reservation and ledger entry, in memory.

`trading/batch.py` writes what this has prepared, in the transaction that holds the locks.
"""

from datetime import date, datetime
from decimal import Decimal

from mockmarket.core.formats import rupees
from mockmarket.core.money import ZERO, money
from mockmarket.core.money import price as exact_price
from mockmarket.core.records import record
from portfolios import booking, ledger, positions
from portfolios.contests import rules_of
from portfolios.models import LedgerEntry, Position
from trading import charges, explain, lifecycle, margin, quoting, selectors
from trading.batch import Batch, Decided
from trading.lifecycle import Event
from trading.matching import Match
from trading.models import Fill, Order

UNSETTLED_PART = Decimal("0.20")  # of a delivery sale, usable from the next session on


def fill_order(state: Batch, order: Order, decided: Decided, matched: Match, step: int) -> str:
    """Book one fill of a locked order; the record of why funds or holdings forbid it, else ""."""
    portfolio = order.portfolio
    position = _position(state, order, decided.at)
    if order.product == "CNC" and not order.buy and position.quantity < matched.quantity:
        return record("insufficient_holdings", left=position.quantity)
    session = selectors.session_date(
        market_name=quoting.market_name(order.instrument), at=decided.at
    )
    schedule = selectors.schedule(
        kind=charges.kind_of(
            instrument_type=order.instrument.instrument_type, product=order.product
        ),
        on=session,
    )
    _decide_depository(state, order, schedule, session)
    turnover = order.turnover + matched.price * matched.quantity
    cost = charges.of_fill(
        schedule,
        buy=order.buy,
        turnover_before=order.turnover,
        turnover_after=turnover,
        depository=order.depository,
    )
    book, effect = positions.apply(
        booking.book_of(position),
        positions.FillFact(
            buy=order.buy,
            quantity=matched.quantity,
            price=matched.price,
            charges=cost.total,
            margin_rate=order.margin_rate,
            margin_unit=order.margin_unit,
        ),
    )
    if _opens_unmargined(order, before=position.quantity, after=book.quantity):
        return record("insufficient_margin")
    free = portfolio.cash - portfolio.reserved + order.reserved - portfolio.debt
    if effect.margin > 0 and -effect.cash > free - portfolio.unsettled:
        return record("insufficient_cash")

    order.filled_quantity += matched.quantity
    order.turnover = turnover
    order.charges += cost.total
    order.average_price = exact_price(turnover / order.filled_quantity)
    event = Event.FILL_PART if order.open_quantity else Event.FILL_ALL
    order.status = lifecycle.advance(order.status, event)
    order.status_reason = ""
    _reserve_anew(order, schedule, position_after=book.quantity, filled=matched.quantity)
    _move_position(position, order, book, matched, session, decided.at)
    if order.product == "CNC" and not order.buy and rules_of(portfolio.contest).settlement == "t1":
        proceeds = money(matched.price * matched.quantity) - cost.total
        portfolio.unsettled += money(max(ZERO, proceeds) * UNSETTLED_PART)
    fill = _fill_row(state, order, decided, matched, step, cost, schedule)
    state.fills.append(fill)
    _post(state, fill, effect)
    return ""


def _opens_unmargined(order: Order, *, before: int, after: int) -> bool:
    """Whether a fill would open a future or write an option of an order that was accepted to
    close one, and so put down no margin."""
    kind = order.instrument.instrument_type
    on_margin = kind == "FUT" or (kind in {"CE", "PE"} and after < 0)
    opens = abs(after) > abs(before) or (before and after and (before > 0) != (after > 0))
    return bool(on_margin and opens and order.margin_unit is None)


def _fill_row(
    state: Batch,
    order: Order,
    decided: Decided,
    matched: Match,
    step: int,
    cost: charges.Charges,
    schedule: charges.Schedule,
) -> Fill:
    """The fill with everything that it was decided from."""
    market = decided.look.market
    quote = state.quotes.get(id(market))
    if quote is None:
        quote = state.quotes[id(market)] = explain.quote_json(market)
    rates = state.rates.get(id(schedule))
    if rates is None:
        rates = state.rates[id(schedule)] = schedule.as_json()
    return Fill(
        order=order,
        execution_ref=str(order.filled_quantity),
        # Fills of one instant keep their order by this number; it grows with what has filled.
        sequence=decided.filled_before + step + 1,
        quantity=matched.quantity,
        price=matched.price,
        charges=cost.total,
        charge_lines={name: str(amount) for name, amount in cost.lines.items()},
        quote=quote,
        inputs={
            **explain.inputs_json(decided.look, step=step),
            "rates": rates,
        },
        rule_path=list(decided.decision.path),
        phase=market.phase,
        filled_at=decided.at,
    )


def _decide_depository(
    state: Batch, order: Order, schedule: charges.Schedule, session: date
) -> None:
    """The first delivery sale of a share on a day carries the depository charge."""
    if order.filled_quantity or order.product != "CNC" or order.buy or not schedule.depository:
        return
    key = (order.portfolio_id, order.instrument_id, order.session_date)
    if key not in state.depository_paid:
        state.depository_paid.add(key)
        order.depository = True


def _reserve_anew(
    order: Order, schedule: charges.Schedule, *, position_after: int, filled: int
) -> None:
    """Hold back only what the unfilled rest still needs; never more than before."""
    reserved = ZERO
    if order.open_quantity and order.reserved:
        price = order.price or order.protection_price
        assert price is not None, "an order has a limit or a protection price"
        opening = order.open_quantity
        if order.product != "CNC":
            opening = margin.opening_quantity(
                buy=order.buy,
                quantity=order.open_quantity,
                position=position_after,
                same_side_open=0,
            )
        wanted = margin.need(
            buy=order.buy,
            price=price,
            quantity=order.open_quantity,
            opening=opening,
            margin_rate=order.margin_rate,
            margin_unit=order.margin_unit,
            schedule=schedule,
            turnover=order.turnover,
            depository=order.depository,
        )
        reserved = min(order.reserved, wanted.total)
        if not opening:  # it closes a hedge: what that needs is freed in step with it
            left = Decimal(order.open_quantity) / (order.open_quantity + filled)
            reserved = money(order.reserved * left)
    order.portfolio.reserved += reserved - order.reserved
    order.reserved = reserved


def _position(state: Batch, order: Order, at: datetime) -> Position:
    key = (order.portfolio_id, order.instrument_id, order.product)
    position = state.positions.get(key)
    if position is None:
        position = Position(
            portfolio=order.portfolio,
            instrument=order.instrument,
            product=order.product,
            opened_at=at,
            updated_at=at,
        )
        state.positions[key] = position
    state.changed_positions[key] = position
    return position


def _move_position(
    position: Position,
    order: Order,
    book: positions.Book,
    matched: Match,
    session: date,
    at: datetime,
) -> None:
    if position.session_date != session:
        position.session_date = session
        position.day_quantity = 0
        position.day_cost = ZERO
    sign = 1 if order.buy else -1
    position.day_quantity += sign * matched.quantity
    position.day_cost += sign * money(matched.price * matched.quantity)
    if not position.quantity:
        position.opened_at = at
    booking.take_book(position, book)
    position.settled_quantity = min(position.settled_quantity, max(0, book.quantity))
    position.updated_at = at


def _post(state: Batch, fill: Fill, effect: positions.Effect) -> None:
    """Book the fill's ledger entry."""
    order = fill.order
    verb = "Bought" if order.buy else "Sold"
    funds, postings = ledger.fill(
        effect=effect, funds=booking.funds_of(order.portfolio), keep=order.portfolio.reserved
    )
    entry = booking.NewEntry(
        portfolio=order.portfolio,
        kind=LedgerEntry.Kind.FILL,
        reference=f"fill:{fill.pk}",
        description=(
            f"{verb} {fill.quantity} {order.instrument.symbol}"
            f" at {rupees(fill.price)} ({order.product})"
        ),
        postings=postings,
        funds=funds,
        occurred_at=fill.filled_at,
    )
    state.entries.append(booking.book_entry(entry))
    fill.ledger_seq = order.portfolio.entry_seq
