"""An order checked as far as it goes: before the lock, and the parts that count again under it."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from marketdata import selectors as market_selectors
from marketdata import sessions
from marketdata.models import IndexMember, Instrument
from marketdata.sessions import Phase
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.money import ZERO
from portfolios.contests import Rules, rules_of
from portfolios.models import Contest, Portfolio
from trading import (
    auction,
    charges,
    closing,
    collateral,
    drafts,
    facts,
    intraday,
    margin,
    quoting,
    risk,
    selectors,
)
from trading.drafts import OrderDraft
from trading.matching import CONTINUOUS, Market
from trading.models import Order

ACCEPTING_PHASES = frozenset({CONTINUOUS})


class MarketClosed(DomainError):
    """Nothing trades now; an after-market order would wait for the next session."""

    code = "market_closed"
    status = 409


class ContestNotRunning(DomainError):
    code = "contest_not_running"
    status = 409


class ContestFrozen(DomainError):
    code = "contest_frozen"
    status = 409


@dataclass(frozen=True, slots=True)
class Prepared:
    """An order checked as far as it can be without the lock."""

    draft: OrderDraft
    instrument: Instrument
    terms: drafts.Terms
    market: Market
    rules: Rules
    price: Decimal
    margin_rate: Decimal
    schedule: charges.Schedule
    queued: bool


def prepare(
    *, portfolio: Portfolio, draft: OrderDraft, at: datetime, system: bool = False
) -> Prepared:
    """Check an order against instrument, market and calendar, without any lock.

    `system` orders may carry the ids that users cannot choose.
    """
    drafts.check_shape(draft)
    if not system:
        drafts.check_own_id(draft)
    instrument = named_instrument(draft.instrument_key)
    index_share = IndexMember.objects.filter(instrument=instrument).exists()
    terms = quoting.terms_of(instrument, index_share=index_share)
    drafts.check_terms(draft, terms)
    check_contest(portfolio.contest, at=at)
    rules = rules_of(portfolio.contest)
    market = quoting.seen(instrument, at=at)
    queued = _queued(draft, instrument, market, at=at)
    if market.phase == Phase.CLOSING_AUCTION and not queued:
        market = closing.of_auction(market, instrument, at=at)
    market_name = quoting.market_name(instrument)
    session = selectors.session_date(market_name=market_name, at=at)
    if instrument.expiry_date is not None and instrument.expiry_date < session:
        raise drafts.NotTradable(f"{instrument.symbol} has expired.")
    if draft.product == "MIS":
        intraday.check_open(market_name=market_name, rules=rules, session=session, at=at)
    risk.check_market(draft, market, now_ms=clock.to_ms(at))
    kind = charges.kind_of(instrument_type=instrument.instrument_type, product=draft.product)
    return Prepared(
        draft=draft,
        instrument=instrument,
        terms=terms,
        market=market,
        rules=rules,
        price=risk.worst_price(draft, market),
        margin_rate=margin.rate(
            product="NRML" if terms.segment.endswith("_FO") else draft.product,
            fno_share=terms.fno_share,
            index_share=terms.index_share,
            leverage_max=rules.leverage_max,
        ),
        schedule=selectors.schedule(kind=kind, on=session),
        queued=queued,
    )


def _queued(draft: OrderDraft, instrument: Instrument, market: Market, *, at: datetime) -> bool:
    """Whether the order waits for the next session. Raises MarketClosed when it may not."""
    if market.phase in ACCEPTING_PHASES:
        return False
    if market.phase == Phase.CLOSING_AUCTION:
        began = closing.begins(quoting.market_name(instrument), at=at)
        assert began is not None, "its phase is the auction's"
        if auction.takes(now=auction.stage(at - began), order_type=draft.order_type):
            return False
        if not draft.after_market:
            raise MarketClosed(
                "The closing auction takes market and limit orders from its 5th minute, only"
                " limit orders from its 10th, and none from its 15th."
            )
    elif market.phase == Phase.PRE_OPEN:
        name = quoting.market_name(instrument)
        began = sessions.pre_open_start(market=name, at=at, calendar=market_selectors.calendar())
        if began is not None and auction.opening_takes(
            since_start=at - began, order_type=draft.order_type
        ):
            return False
        if not draft.after_market:
            raise MarketClosed(
                "The opening auction takes market and limit orders in its first 8 minutes."
            )
    elif not draft.after_market:
        raise MarketClosed("The market is closed. Place it as an after-market order to queue it.")
    return True


def named_instrument(key: str) -> Instrument:
    """The instrument; raises UnknownInstrument naming the field."""
    try:
        return market_selectors.instrument(key)
    except market_selectors.UnknownInstrument as unknown:
        raise market_selectors.UnknownInstrument(
            unknown.message, fields={"instrument_key": unknown.message}
        ) from None


def check_contest(contest: Contest, *, at: datetime) -> None:
    """Raises ContestFrozen or ContestNotRunning."""
    if contest.state == Contest.State.FROZEN:
        raise ContestFrozen(f"Trading in {contest.name} is frozen.")
    ended = contest.ends_at is not None and at >= contest.ends_at
    if contest.state != Contest.State.RUNNING or at < contest.starts_at or ended:
        raise ContestNotRunning(f"{contest.name} is not running.")


def require_funds(
    *,
    portfolio: Portfolio,
    prepared: Prepared,
    at: datetime,
    replacing: Order | None = None,
) -> margin.Need:
    """The cash that the order must hold back, checked against rules, holdings and funds.

    `replacing` is the order being modified: its own quantity and reservation do not count.
    """
    draft = prepared.draft
    standing = facts.standing(
        portfolio=portfolio,
        instrument=prepared.instrument,
        draft=draft,
        rules=prepared.rules,
        at=at,
        replacing=replacing,
    )
    opening = margin.opening_quantity(
        buy=draft.buy,
        quantity=draft.quantity - (replacing.filled_quantity if replacing else 0),
        position=standing.position,
        same_side_open=standing.buy_open if draft.buy else standing.sell_open,
    )
    if draft.product == "CNC" and not draft.buy:
        opening = 0
    risk.check_holdings(draft, standing, symbol=prepared.terms.symbol)
    needed = _need(
        portfolio=portfolio, prepared=prepared, at=at, replacing=replacing, opening=opening
    )
    risk.check_rules(
        draft,
        terms=prepared.terms,
        rules=prepared.rules,
        standing=standing,
        price=prepared.price,
        stake=needed.unit,
        opening=opening,
        at=at,
    )
    risk.check_cash(needed=needed.total, available=standing.buying_power)
    return needed


def needed_alone(*, portfolio: Portfolio, prepared: Prepared, at: datetime) -> margin.Need:
    """What the order would hold back if it opened all that it asks for."""
    quantity = prepared.draft.quantity
    try:
        return _need(
            portfolio=portfolio, prepared=prepared, at=at, replacing=None, opening=quantity
        )
    except risk.StaleQuote:
        return margin.Need(ZERO, ZERO)


def _need(
    *,
    portfolio: Portfolio,
    prepared: Prepared,
    at: datetime,
    replacing: Order | None,
    opening: int,
) -> margin.Need:
    """What the unfilled rest of the order holds back."""
    quantity = prepared.draft.quantity - (replacing.filled_quantity if replacing else 0)
    unit = None
    if prepared.terms.segment.endswith("_FO"):
        asked = collateral.Asked(
            instrument=prepared.instrument,
            buy=prepared.draft.buy,
            product=prepared.draft.product,
            quantity=quantity,
            opening=opening,
            price=_premium(prepared),
            replacing=replacing,
        )
        if not opening:
            return margin.Need(collateral.to_close(portfolio=portfolio, asked=asked, at=at), ZERO)
        unit = collateral.unit(portfolio=portfolio, asked=asked, at=at)
    return margin.need(
        buy=prepared.draft.buy,
        price=prepared.price,
        quantity=quantity,
        opening=opening,
        margin_rate=prepared.margin_rate,
        margin_unit=unit,
        schedule=prepared.schedule,
        turnover=replacing.turnover if replacing else ZERO,
    )


def _premium(prepared: Prepared) -> Decimal:
    """The price that a contract of the order trades at, as far as that is known: not better than
    its limit, not better than the last price."""
    known = [price for price in (prepared.draft.price, prepared.market.last_price) if price]
    return (max if prepared.draft.buy else min)(known, default=prepared.price)
