"""What is told to a user about orders and fills; Decimals become numbers in the stream."""

from typing import Any

from trading.models import Fill, Order

ORDER_UPDATE = "order_update"
TRADE = "trade"


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
        "status_reason": order.status_reason,
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
