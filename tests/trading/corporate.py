"""Steps of the tests of corporate actions: announce one, apply it, take it back."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from marketdata.models import Instrument
from mockmarket.core.models import OutboxEvent, User
from portfolios.models import Position
from tests.trading.floor import portfolio
from trading.corporate_actions import services
from trading.models import CorporateAction

D = Decimal
EX_DATE = date(2026, 11, 24)
MORNING = datetime.fromisoformat("2026-11-24T00:01:00+05:30")


def announce(instrument: Instrument, kind: str, **fields: Any) -> CorporateAction:
    terms: dict[str, Any] = {"numerator": None, "denominator": None, "amount": None, **fields}
    return services.announce(
        instrument=instrument, kind=kind, ex_date=terms.pop("ex_date", EX_DATE), source="test",
        actor=None, reason="for the test", at=terms.pop("at", MORNING - timedelta(days=1)), **terms,
    )  # fmt: skip


def apply(action: CorporateAction, at: datetime = MORNING) -> int:
    touched = services.apply(action=action, actor=None, reason="for the test", at=at)
    services.resume(at=at + timedelta(seconds=20))
    return touched


def reverse(action: CorporateAction, actor: User, at: datetime = MORNING) -> int:
    undone = services.reverse(action=action, actor=actor, reason="a slip", at=at)
    services.resume(at=at + timedelta(seconds=20))
    return undone


def held(user: User, product: str = "CNC") -> Position:
    return Position.objects.get(portfolio=portfolio(user), product=product)


def told(user: User) -> list[dict[str, Any]]:
    found = OutboxEvent.objects.filter(user=user, type="corporate_action").order_by("seq")
    return [row.payload for row in found]
