"""An order as somebody wants it, before any rule: parsed at the rim, once. Pure."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from mockmarket.core.errors import DomainError
from mockmarket.core.formats import number
from trading.bands import to_tick

SIDES = ("BUY", "SELL")
ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL_M")
PRODUCTS = ("CNC", "MIS", "NRML")
VALIDITIES = ("DAY", "IOC")
QUANTITY_MAX = 10_000_000
VALUE_MAX = Decimal(10) ** 11
REASON_CHARACTERS_MAX = 500

# Ids that begin so belong to the system.
RESERVED_ID_PREFIXES = ("squareoff-", "gtt-", "exit-")
_CLIENT_ORDER_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")


class InvalidOrder(DomainError):
    """The fields do not make an order."""

    code = "invalid_order"


class InvalidQuantity(DomainError):
    code = "invalid_quantity"


class InvalidLot(DomainError):
    code = "invalid_lot"


class FreezeQuantity(DomainError):
    """The exchange refuses single orders above this size."""

    code = "freeze_quantity"


class InvalidPrice(DomainError):
    code = "invalid_price"


class InvalidTick(DomainError):
    code = "invalid_tick"


class InstrumentHalted(DomainError):
    code = "instrument_halted"
    status = 409


class NotTradable(DomainError):
    code = "not_tradable"
    status = 409


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDraft:
    """What a page or a program asks for. Prices are Decimals; names are checked by `parse`.

    `client_order_id` None gets a generated one. `after_market` queues the order when the market
    is closed. `reason` is the student's own note for the journal.
    """

    instrument_key: str
    side: str
    quantity: int
    order_type: str = "MARKET"
    product: str = "CNC"
    validity: str = "DAY"
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    client_order_id: str | None = None
    after_market: bool = False
    reason: str = ""

    @property
    def buy(self) -> bool:
        return self.side == "BUY"

    @property
    def stop(self) -> bool:
        return self.order_type in {"SL", "SL_M"}

    @property
    def limited(self) -> bool:
        return self.order_type in {"LIMIT", "SL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an instrument allows. `freeze_quantity` 0 is none; `lot_size` 1 for shares."""

    symbol: str
    segment: str
    instrument_type: str
    tick_size: Decimal
    lot_size: int
    freeze_quantity: int
    active: bool
    halted: bool
    halt_reason: str
    fno_share: bool
    index_share: bool


def check_shape(draft: OrderDraft) -> None:
    """Refuse what is no order whatever the market does. Raises the DomainErrors above."""
    for name, value, known in (
        ("side", draft.side, SIDES),
        ("order_type", draft.order_type, ORDER_TYPES),
        ("product", draft.product, PRODUCTS),
        ("validity", draft.validity, VALIDITIES),
    ):
        if value not in known:
            message = f"Choose one of {', '.join(known)}."
            raise InvalidOrder(message, fields={name: message})
    check_quantity(draft.quantity)
    if draft.client_order_id is not None and not _CLIENT_ORDER_ID.fullmatch(draft.client_order_id):
        message = "Use 1 to 64 letters, digits, dots, colons, hyphens or underscores."
        raise InvalidOrder(message, fields={"client_order_id": message})
    if len(draft.reason) > REASON_CHARACTERS_MAX:
        message = f"Keep the reason within {REASON_CHARACTERS_MAX} characters."
        raise InvalidOrder(message, fields={"reason": message})
    _check_price_given("price", draft.price, wanted=draft.limited)
    _check_price_given("trigger_price", draft.trigger_price, wanted=draft.stop)
    if draft.stop and draft.validity == "IOC":
        message = "A stop order waits for its trigger, so it cannot be immediate or cancel."
        raise InvalidOrder(message, fields={"validity": message})
    if draft.order_type == "SL":
        assert draft.price is not None
        assert draft.trigger_price is not None
        if draft.buy and draft.price < draft.trigger_price:
            message = "A stop to buy needs a limit at or above its trigger."
            raise InvalidPrice(message, fields={"price": message})
        if not draft.buy and draft.price > draft.trigger_price:
            message = "A stop to sell needs a limit at or below its trigger."
            raise InvalidPrice(message, fields={"price": message})


def check_own_id(draft: OrderDraft) -> None:
    """Refuse an id that belongs to the system's own orders. Raises InvalidOrder."""
    if draft.client_order_id and draft.client_order_id.startswith(RESERVED_ID_PREFIXES):
        message = f"Ids that begin with {', '.join(RESERVED_ID_PREFIXES)} belong to the system."
        raise InvalidOrder(message, fields={"client_order_id": message})


def check_quantity(quantity: object) -> int:
    """A whole quantity of at least 1. Raises InvalidQuantity."""
    if isinstance(quantity, bool) or not isinstance(quantity, int) or quantity < 1:
        message = "Enter a whole number of at least 1."
        raise InvalidQuantity(message, fields={"quantity": message})
    if quantity > QUANTITY_MAX:
        message = f"An order is at most {number(QUANTITY_MAX, places=0)} units."
        raise InvalidQuantity(message, fields={"quantity": message})
    return quantity


def _check_price_given(name: str, price: Decimal | None, *, wanted: bool) -> None:
    what = "trigger price" if name == "trigger_price" else "price"
    if not wanted:
        if price is not None:
            message = f"This type of order takes no {what}."
            raise InvalidOrder(message, fields={name: message})
        return
    if price is None:
        message = f"Enter a {what}."
        raise InvalidOrder(message, fields={name: message})
    if not isinstance(price, Decimal) or not price.is_finite() or price <= 0:
        message = f"Enter a {what} above zero."
        raise InvalidPrice(message, fields={name: message})


def check_terms(draft: OrderDraft, terms: Terms) -> None:
    """Refuse what this instrument does not take. Raises the DomainErrors above."""
    if terms.segment.endswith("_INDEX"):
        raise NotTradable("An index cannot be bought or sold. Trade its shares.")
    if not terms.active:
        raise NotTradable(f"{terms.symbol} is no longer listed.")
    if terms.halted:
        reason = f": {terms.halt_reason}" if terms.halt_reason else ""
        raise InstrumentHalted(f"Trading in {terms.symbol} is halted{reason}.")
    derivative = terms.segment.endswith("_FO")
    if derivative and draft.product == "CNC":
        message = "Futures and options are intraday (MIS) or carried forward (NRML)."
        raise InvalidOrder(message, fields={"product": message})
    if not derivative and draft.product == "NRML":
        message = "Shares are bought for delivery (CNC) or intraday (MIS)."
        raise InvalidOrder(message, fields={"product": message})
    if draft.quantity % terms.lot_size:
        message = f"{terms.symbol} trades in lots of {terms.lot_size}."
        raise InvalidLot(message, fields={"quantity": message})
    if terms.freeze_quantity and draft.quantity > terms.freeze_quantity:
        most = number(terms.freeze_quantity, places=0)
        message = f"The exchange takes at most {most} in one order."
        raise FreezeQuantity(message, fields={"quantity": message})
    for name, price in (("price", draft.price), ("trigger_price", draft.trigger_price)):
        if price is not None and to_tick(price, terms.tick_size, up=False) != price:
            message = f"Prices of {terms.symbol} move in steps of ₹{terms.tick_size.normalize():f}."
            raise InvalidTick(message, fields={name: message})
        if price is not None and price * draft.quantity > VALUE_MAX:
            message = "The value of the order is beyond any account here."
            raise InvalidPrice(message, fields={name: message})


def parse_price(text: str) -> Decimal:
    """A price from a form or a program. Raises InvalidPrice."""
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        raise InvalidPrice("Enter a price as a number.") from None
    if not value.is_finite():
        raise InvalidPrice("Enter a price as a number.")
    return value
