"""What an order would cost and do to the price, before it is placed. Writes nothing."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from mockmarket.core.money import ZERO, money
from mockmarket.core.money import price as exact_price
from portfolios.selectors import access_portfolio
from trading import charges, explain, facts, matching, preparing, risk
from trading.drafts import OrderDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """An estimate at this instant's quote. Rupees; `impact_percent` of the last price.

    `expected_price` is the average of the part that would fill at once (`expected_quantity`),
    None when nothing would. `required` is what would be held back, `refusal` (code, message)
    why it would be refused now.
    """

    symbol: str
    quantity: int
    expected_price: Decimal | None
    expected_quantity: int
    levels: tuple[tuple[Decimal, int], ...]
    impact_percent: Decimal
    value: Decimal
    charges: Decimal
    charge_lines: dict[str, Decimal]
    break_even: Decimal | None
    margin: Decimal
    required: Decimal
    buying_power: Decimal
    buying_power_after: Decimal
    quote_age_ms: int | None
    refusal: tuple[str, str] | None = None


def preview_order(
    *, user: User, contest: str | int | None, draft: OrderDraft, at: datetime
) -> Preview:
    """Estimate fills, charges, margin and impact of an order.

    Raises the same refusals as place_order for what is no order at all; missing cash, holdings
    or a contest rule are told in `refusal`.
    """
    portfolio = access_portfolio(user=user, contest=contest)
    prepared = preparing.prepare(portfolio=portfolio, draft=draft, at=at)
    refusal = None
    try:
        needed = preparing.require_funds(portfolio=portfolio, prepared=prepared, at=at)
    except DomainError as error:
        refusal = (error.code, error.message)
        needed = preparing.needed_alone(portfolio=portfolio, prepared=prepared, at=at)
    now_ms = clock.to_ms(at)
    decision = _look(prepared, now_ms=now_ms).decide()
    quantity = decision.quantity
    turnover = sum((m.price * m.quantity for m in decision.matches), Decimal(0))
    expected = exact_price(turnover / quantity) if quantity else None
    last = prepared.market.last_price
    impact = ZERO
    if expected is not None and last:
        impact = money(abs(expected - last) / last * 100)
    reckoned = expected or prepared.price
    cost = charges.of_order(prepared.schedule, buy=draft.buy, turnover=reckoned * draft.quantity)
    back = charges.of_order(
        prepared.schedule, buy=not draft.buy, turnover=reckoned * draft.quantity
    )
    both_ways = (cost.total + back.total) / draft.quantity
    received = prepared.market.received_ms
    return Preview(
        symbol=prepared.terms.symbol,
        quantity=draft.quantity,
        expected_price=expected,
        expected_quantity=quantity,
        levels=tuple((m.price, m.quantity) for m in decision.matches),
        impact_percent=impact,
        value=money(reckoned * draft.quantity),
        charges=cost.total,
        charge_lines=cost.lines,
        break_even=exact_price(reckoned + both_ways if draft.buy else reckoned - both_ways),
        margin=needed.margin,
        required=needed.total,
        buying_power=portfolio.buying_power,
        buying_power_after=max(ZERO, portfolio.buying_power - needed.total),
        quote_age_ms=now_ms - received if received else None,
        refusal=refusal,
    )


def _look(prepared: preparing.Prepared, *, now_ms: int) -> explain.Look:
    """The order as if it met the book now, with the whole display to itself."""
    draft, market = prepared.draft, prepared.market
    limit = draft.price
    if limit is None and market.last_price is not None:
        limit = risk.protection_price(buy=draft.buy, reference=market.last_price, market=market)
    return explain.Look(
        order=matching.Working(
            buy=draft.buy,
            quantity=draft.quantity,
            filled=0,
            limit=limit,
            market=not draft.limited,
        ),
        market=market,
        offers=market.asks if draft.buy else market.bids,
        traded=0,
        settings=facts.settings_of(prepared.rules),
        now_ms=now_ms,
    )
