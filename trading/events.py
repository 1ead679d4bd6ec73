"""What is told to a user about orders and fills; Decimals become numbers in the stream."""

from datetime import datetime
from typing import Any

from mockmarket.core import records
from mockmarket.core.formats import rupees
from portfolios.models import Portfolio
from trading.models import CorporateAction, CorporateActionStep, Fill, Order

ORDER_UPDATE = "order_update"
TRADE = "trade"
CORPORATE_ACTION = "corporate_action"


def order_update(order: Order) -> dict[str, Any]:
    """An order as it now is. Needs its instrument and its portfolio's contest loaded."""
    return {
        "id": str(order.id),
        "client_order_id": order.client_order_id,
        "instrument_key": order.instrument.key,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "product": order.product,
        "validity": order.validity,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "price": order.price,
        "trigger_price": order.trigger_price,
        "average_price": order.average_price,
        "status": str(order.status),
        **records.told(order.status_reason, "status_reason"),
        "portfolio_id": order.portfolio_id,
        "contest": order.portfolio.contest.slug,
        "updated_at": order.updated_at,
    }


def trade(fill: Fill) -> dict[str, Any]:
    """One fill. Needs its order with instrument loaded."""
    order = fill.order
    return {
        "id": str(fill.id),
        "order_id": str(order.id),
        "instrument_key": order.instrument.key,
        "symbol": order.instrument.symbol,
        "side": order.side,
        "quantity": fill.quantity,
        "price": fill.price,
        "charges": fill.charges,
        "filled_at": fill.filled_at,
        "portfolio_id": order.portfolio_id,
    }


def corporate_action(
    *, step: CorporateActionStep, portfolio: Portfolio, at: datetime
) -> dict[str, Any]:
    """What a split, bonus or dividend did to one portfolio, or its reversal undid. Needs the
    step's action with its instrument loaded. `cash` is what came in (out, when negative)."""
    action = step.action
    back = step.reversed_at is not None
    return {
        "action_id": action.pk,
        "instrument_key": action.instrument.key,
        "symbol": action.instrument.symbol,
        "kind": str(action.kind),
        "reversed": back,
        "title": f"{action}: reversed" if back else str(action),
        "message": _done(action, step, back=back),
        "units": step.units,
        "cash": -step.cash if back else step.cash,
        "orders": len(step.orders) + len(step.gtts),
        "portfolio_id": portfolio.pk,
        "contest": portfolio.contest.slug,
        "at": at.isoformat(),
    }


def _done(action: CorporateAction, step: CorporateActionStep, *, back: bool) -> str:
    said = []
    if step.units and action.kind != CorporateAction.Kind.DIVIDEND:
        turned = "turned back" if back else "adjusted"
        said.append(f"Your {abs(step.units)} shares were {turned}, at the same cost in all.")
    if step.contracts:
        said.append("Your futures and options on it have new lots and strikes.")
    if step.cash:
        cash = -step.cash if back else step.cash
        way = "came to" if cash > 0 else "left"
        said.append(f"{rupees(abs(cash))} {way} your cash.")
    waiting = len(step.orders) + len(step.gtts)
    if waiting:
        said.append(f"{waiting} of your waiting orders follow.")
    return " ".join(said)
