"""Instructions as they are asked for, and what may be asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from trading import drafts, preparing, quoting
from trading.drafts import OrderDraft


class InvalidLeg(DomainError):
    """A leg on the wrong side of the price, or none at all."""

    code = "invalid_leg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A trigger and the limit of the order it places; without `price` an order by market."""

    trigger: Decimal
    price: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GttDraft:
    """What to place when the price reaches `lower` (at or below) or `upper` (at or above)."""

    instrument_key: str
    side: str
    quantity: int
    product: str = "CNC"
    lower: Leg | None = None
    upper: Leg | None = None


def check(draft: GttDraft, *, at: datetime) -> Instrument:
    """Shape, terms, and legs on their sides of the last price."""
    if draft.lower is None and draft.upper is None:
        raise InvalidLeg("Name a trigger.", fields={"lower": "Name a trigger."})
    instrument = preparing.named_instrument(draft.instrument_key)
    terms = quoting.terms_of(instrument, index_share=False)
    last = quoting.seen(instrument, at=at).last_price
    for name, leg, below in (("lower", draft.lower, True), ("upper", draft.upper, False)):
        if leg is None:
            continue
        # The trigger is held to the rules of a limit, though the order may go by market.
        for field, rung in (
            (name, Leg(trigger=leg.trigger, price=leg.trigger)),
            (f"{name}_price", leg),
        ):
            order = leg_draft(draft.instrument_key, draft.side, draft.quantity, draft.product, rung)
            with _price_is(field):
                drafts.check_shape(order)
                drafts.check_terms(order, terms)
        if last is not None and (leg.trigger >= last if below else leg.trigger <= last):
            message = f"The {name} trigger must lie {'below' if below else 'above'} ₹{last:.2f}."
            raise InvalidLeg(message, fields={name: message})
    return instrument


@contextmanager
def _price_is(field: str) -> Iterator[None]:
    """Name the leg's own field in a refusal of an order's price."""
    try:
        yield
    except DomainError as refusal:
        if "price" in refusal.fields:
            refusal.fields[field] = refusal.fields.pop("price")
        raise


def leg_draft(
    key: str, side: str, quantity: int, product: str, leg: Leg, client_order_id: str | None = None
) -> OrderDraft:
    """The order that a leg would place."""
    return OrderDraft(
        instrument_key=key,
        side=side,
        quantity=quantity,
        order_type="MARKET" if leg.price is None else "LIMIT",
        price=leg.price,
        product=product,
        client_order_id=client_order_id,
    )
