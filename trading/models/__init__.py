"""Orders and fills, the charges that fills cost, what is watched for users, corporate actions."""

from trading.models.corporate_actions import CorporateAction, CorporateActionStep
from trading.models.orders import Fill, Order, PositionChange
from trading.models.rules import ChargeSchedule, EngineFence
from trading.models.watches import Alert, AlertEvent, Gtt

__all__ = [
    "Alert",
    "AlertEvent",
    "ChargeSchedule",
    "CorporateAction",
    "CorporateActionStep",
    "EngineFence",
    "Fill",
    "Gtt",
    "Order",
    "PositionChange",
]
