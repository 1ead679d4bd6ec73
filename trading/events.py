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
    done = what_was_done(step)
    return {
        "action_id": action.pk,
        "instrument_key": action.instrument.key,
        "symbol": action.instrument.symbol,
        "kind": str(action.kind),
        "reversed": back,
        **records.told(action.record("reversed" if back else ""), "title"),
        "message": " ".join(map(records.english, done)),
        "parts": [records.told(part, "text") for part in done],
        "units": step.units,
        "cash": -step.cash if back else step.cash,
        "orders": len(step.orders) + len(step.gtts),
        "portfolio_id": portfolio.pk,
        "contest": portfolio.contest.slug,
        "at": at.isoformat(),
    }


def what_was_done(step: CorporateActionStep) -> list[str]:
    """Records of what an action, or its reversal, did to a portfolio."""
    back = step.reversed_at is not None
    done = []
    if step.units and step.action.kind != CorporateAction.Kind.DIVIDEND:
        code = "shares_turned_back" if back else "shares_adjusted"
        done.append(records.record(code, quantity=abs(step.units)))
    if step.contracts:
        done.append(records.record("contracts_adjusted"))
    if step.cash:
        cash = -step.cash if back else step.cash
        code = "cash_came" if cash > 0 else "cash_left"
        done.append(records.record(code, amount=rupees(abs(cash))))
    waiting = len(step.orders) + len(step.gtts)
    if waiting:
        done.append(records.record("orders_follow", quantity=waiting))
    return done
