"""What the terms mean, with worked examples."""

from decimal import Decimal
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from mockmarket.core import clock
from mockmarket.core.formats import number, percent, rupees
from mockmarket.core.money import notional
from mockmarket.core.refusals import said
from portfolios.current import portfolio_of
from trading import selectors
from trading.models import Fill


@login_required
@require_GET
def learn(request: HttpRequest) -> HttpResponse:
    """The glossary, headed by the user's newest fill worked through."""
    portfolio = portfolio_of(request, at=clock.now())
    fill = selectors.fills(portfolio=portfolio).first()
    context = {"terms": terms(), "example": _example(fill) if fill else None}
    return render(request, "trading/learn.html", context)


def _example(fill: Fill) -> dict[str, Any]:
    """The figures of one fill, in words and numbers."""
    value = notional(price=fill.price, quantity=fill.quantity)
    a_share = fill.charges / Decimal(fill.quantity)
    away = 2 * a_share if fill.order.side == "BUY" else -2 * a_share
    return {
        "side": said(fill.order.get_side_display()),
        "quantity": number(fill.quantity, places=0),
        "symbol": fill.order.instrument.symbol,
        "price": rupees(fill.price),
        "charges": rupees(fill.charges),
        "value": rupees(value),
        "charge_percent": percent(fill.charges / value * 100, places=3, signed=False),
        "break_even": rupees(fill.price + away),
        "href": reverse("order_detail", args=[fill.order_id]),
    }


def terms() -> list[dict[str, str]]:
    """The terms in the order in which a newcomer meets them."""
    listed = [
        (
            "quote",
            _("Bid, ask and last price"),
            _(
                "The bid is the most that somebody offers to pay now, the ask the least that "
                "somebody asks. The last price is the last trade between them. You buy at the "
                "ask and sell at the bid, so a trade there and back costs the difference even "
                "when nothing moves."
            ),
            _("Bid ₹99.95, ask ₹100.05: buying 100 shares and selling them at once loses ₹10."),
        ),
        (
            "depth",
            _("Market depth"),
            _(
                "The five best prices on each side and how many shares stand there. A large "
                "order takes the first price, then the next: its average is worse than the "
                "first."
            ),
            _("200 at ₹100.05 and 300 at ₹100.10: an order for 400 pays ₹100.075 on average."),
        ),
        (
            "orders",
            _("Types of orders"),
            _(
                "A market order fills at once at what is offered. A limit order fills at your "
                "price or better, or waits. A stop order sleeps until the price reaches its "
                "trigger; it limits a loss, or follows a breakout."
            ),
            _("Bought at ₹100, a stop to sell with trigger ₹95 sells once the price falls to ₹95."),
        ),
        (
            "products",
            _("Delivery and intraday"),
            _(
                "Delivery (CNC) is paid in full and may be kept. Intraday (MIS) needs only a "
                "part as margin and is closed before the session ends, by you or for you. "
                "Margin makes gains and losses larger alike."
            ),
            "",
        ),
        (
            "charges",
            _("Charges"),
            _(
                "Taxes and fees on each trade: securities transaction tax, exchange and SEBI "
                "fees, stamp duty on buying, GST on the fees, and the depository's fee when "
                "delivered shares are sold. They are real amounts by the schedule of the day."
            ),
            _("Many small trades pay them many times; that is why the portfolio shows their sum."),
        ),
        (
            "pnl",
            _("Realised and unrealised"),
            _(
                "Unrealised profit is what open positions would bring now; it moves with each "
                "tick. It becomes realised when you close. The day's figure counts from "
                "yesterday's close."
            ),
            "",
        ),
        (
            "rank",
            _("Return and rank"),
            _(
                "Return is equity less starting cash, in percent of it. Ranks compare everybody "
                "at the same prices at the same instant. A short contest ranks luck as much as "
                "skill: read the interval beside the rank."
            ),
            "",
        ),
        (
            "risk",
            _("Volatility, beta and drawdown"),
            _(
                "Volatility is how widely daily returns spread. Beta is how far a share moves "
                "when the market moves one percent. Drawdown is the fall from the highest point "
                "so far: what it felt like to hold on."
            ),
            "",
        ),
        (
            "session",
            _("Sessions"),
            _(
                "The exchange is open from 09:15 to 15:30 on working days, after a pre-open in "
                "which one price is found for all. Orders placed later wait for the next "
                "session. A practice server may keep the simulated market open all day; the "
                "clock says so."
            ),
            "",
        ),
    ]
    return [
        {"id": code, "name": name, "text": text, "example": example}
        for code, name, text, example in listed
    ]
