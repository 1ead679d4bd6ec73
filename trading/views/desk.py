"""The dashboard and the page of one share: where market, portfolio and orders meet."""

from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from marketdata import listing, research
from marketdata import news as headlines
from marketdata import selectors as market
from marketdata.models import Instrument
from marketdata.views.lists import breadth_context, movers_context, own_lists
from marketdata.views.news import sentiment_context
from mockmarket.core import clock
from portfolios import selectors as portfolios
from portfolios.announcements import announcements_for
from portfolios.current import contests_of, portfolio_of, summary_of, user_of
from portfolios.models import Portfolio
from portfolios.selectors import PositionView
from portfolios.views import equity_lines
from trading import events, selectors
from trading.depth import ladder
from trading.lifecycle import LIVE
from trading.models import Order
from trading.views.options import chain_address
from trading.views.orders import listed

POSITIONS_SHOWN = 6
ANNOUNCEMENTS_SHOWN = 3
HEADLINES_SHOWN = 5
PEERS_SHOWN = 6
FILLS_DRAWN = 200
OWN_ORDERS_SHOWN = 10
INTERVALS = ("1m", "5m", "15m", "1h", "1d")


@login_required
@require_GET
def dashboard(request: HttpRequest) -> HttpResponse:
    """Equity, rank and the day at a glance, then what moves."""
    at = clock.now()
    portfolio = portfolio_of(request, at=at)
    summary = summary_of(request, at=at)
    context = {
        "portfolio": portfolio,
        "summary": summary,
        "steps": first_steps(request, portfolio),
        "curve": equity_lines(portfolio),
        "announcements": announcements_for(user=user_of(request))[:ANNOUNCEMENTS_SHOWN],
        "corporate_actions": _corporate_actions(portfolio),
        "headlines": headlines.items()[:HEADLINES_SHOWN],
        **sentiment_context(),
        "positions": moved_most(portfolio, at=at),
        **movers_context("gainers"),
        **breadth_context(),
    }
    return render(request, "trading/dashboard.html", context)


def _corporate_actions(portfolio: Portfolio) -> list[dict[str, Any]]:
    """The newest splits, bonus issues and dividends of what the portfolio held."""
    found = []
    for step in selectors.corporate_actions(portfolio=portfolio)[:ANNOUNCEMENTS_SHOWN]:
        at = step.reversed_at or step.applied_at
        title = step.action.record("reversed" if step.reversed_at else "")
        found.append({"title": title, "done": events.what_was_done(step), "at": at})
    return found


def moved_most(portfolio: Portfolio, *, at: datetime) -> list[PositionView]:
    """The positions whose day moved furthest, in rupees."""
    found = portfolios.positions(portfolio=portfolio, at=at)
    return sorted(found, key=lambda position: -abs(position.day_pnl))[:POSITIONS_SHOWN]


@login_required
@require_GET
def positions_box(request: HttpRequest) -> HttpResponse:
    """The dashboard's positions, after an order changed them."""
    at = clock.now()
    found = moved_most(portfolio_of(request, at=at), at=at)
    return render(request, "trading/positions_box.html", {"positions": found})


def first_steps(request: HttpRequest, portfolio: Portfolio) -> list[dict[str, Any]]:
    """What a newcomer does next; nothing once all of it is done."""
    joined = any(not contest.is_practice for contest in contests_of(request))
    watching = any(getattr(one, "size", 0) for one in own_lists(request))
    ordered = selectors.orders(portfolio=portfolio).exists()
    if watching and ordered:
        return []
    return [
        {
            "title": _("Watch a few shares"),
            "text": _("Search for a name you know; + keeps its price beside every page."),
            "done": watching,
            "href": reverse("market"),
            "verb": _("Find shares"),
        },
        {
            "title": _("Place a first order"),
            "text": _("Buy one share with play money, and read why it got the price it got."),
            "done": ordered,
            "href": reverse("stock", args=["RELIANCE"]),
            "verb": _("See one"),
        },
        {
            "title": _("Join your class"),
            "text": _("A code from your teacher opens the contest; until then you practise alone."),
            "done": joined,
            "href": reverse("contests"),
            "verb": _("Enter a code"),
        },
    ]


# --- One share --------------------------------------------------------------------------
@login_required
@require_GET
def stock(request: HttpRequest, symbol: str) -> HttpResponse:
    """Everything about one share or index."""
    at = clock.now()
    instrument = market.instrument_by_symbol(symbol)
    quote = market.quote(instrument.key, at)
    context = {
        "instrument": instrument,
        "quote": quote,
        "day_place": _day_place(quote),
        "depth": ladder(market.depth(instrument.key)) if instrument.tradable else None,
        "peers": peers(instrument, at=at),
        "chain": chain_address(instrument),
        "year": year_range(instrument, at=at),
        "headlines": headlines.items(instrument=instrument)[:HEADLINES_SHOWN],
        "intervals": INTERVALS,
        "studies": [
            ("sma20", "SMA 20"),
            ("ema50", "EMA 50"),
            ("bollinger", _("Bands")),
            ("rsi", "RSI"),
            ("macd", "MACD"),
        ],
        **own_context(request, instrument, at=at),
    }
    return render(request, "trading/stock.html", context)


def _day_place(quote: market.QuoteView | None) -> int:
    """Where the price stands between the day's low (0) and high (100)."""
    if quote is None or None in (quote.low, quote.high, quote.last_price):
        return 50
    assert quote.low is not None
    assert quote.high is not None
    assert quote.last_price is not None
    span = quote.high - quote.low
    return round((quote.last_price - quote.low) / span * 100) if span else 50


def year_range(instrument: Instrument, *, at: datetime) -> tuple[float, float] | None:
    """Lowest and highest price of 52 weeks, today included; None with no daily history."""
    bars = research.daily(instrument=instrument, at=at, span=timedelta(days=365))
    return (float(bars.low.min()), float(bars.high.max())) if len(bars.close) > 1 else None


def peers(instrument: Instrument, *, at: datetime) -> list[listing.Row]:
    """Shares of the same sector, or the heaviest of the index."""
    if not instrument.tradable:
        return listing.heaviest(index_key=instrument.key, limit=2 * PEERS_SHOWN, at=at)
    same = [
        facts
        for facts in market.universe().values()
        if facts.sector and facts.sector == instrument.sector and facts.key != instrument.key
    ]
    return listing.rows(same[:PEERS_SHOWN], at=at)


def own_context(request: HttpRequest, instrument: Instrument, *, at: datetime) -> dict[str, Any]:
    """The user's positions, orders and fills of this instrument."""
    portfolio = portfolio_of(request, at=at)
    found = selectors.orders(portfolio=portfolio).filter(instrument=instrument)
    orders = listed(list(found[:OWN_ORDERS_SHOWN]), at=at)
    fills = selectors.fills(portfolio=portfolio).filter(order__instrument=instrument)
    held = [
        position
        for position in portfolios.positions(portfolio=portfolio, at=at)
        if position.instrument_key == instrument.key
    ]
    return {
        "own_positions": held,
        "own_orders": orders,
        "own_prices": " ".join(
            str(o.price.normalize()) for o in orders if o.status in LIVE and o.price
        ),
        "own_lines": _lines(orders, held),
        "own_fills": [
            {"at": fill.filled_at.isoformat(), "side": fill.order.side, "quantity": fill.quantity}
            for fill in fills[:FILLS_DRAWN]
        ],
    }


def _lines(orders: list[Order], held: list[PositionView]) -> list[dict[str, Any]]:
    """Open orders at their price, and the average of what is held, for the chart."""
    sides = {"BUY": _("Buy"), "SELL": _("Sell")}
    lines = [
        {
            "price": float(order.price or order.trigger_price),
            "title": f"{sides[order.side]} {order.quantity - order.filled_quantity}",
            "side": order.side,
        }
        for order in orders
        if order.status in LIVE and (order.price or order.trigger_price)
    ]
    averages = [
        {"price": float(position.average_price), "title": _("Average"), "side": ""}
        for position in held
        if position.quantity and position.average_price
    ]
    return lines + averages


@login_required
@require_GET
def stock_own(request: HttpRequest, symbol: str) -> HttpResponse:
    """The user's part of the page, after an order changed it."""
    instrument = market.instrument_by_symbol(symbol)
    context = own_context(request, instrument, at=clock.now())
    return render(request, "trading/stock_own.html", context)
