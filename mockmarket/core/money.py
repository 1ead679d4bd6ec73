"""Money and prices: Decimal from text to database to JSON string, one rounding function.

Rupee amounts have two decimals, prices four. Both are stored as scaled integers (`MoneyField`,
`PriceField`), because SQLite would keep a decimal as a binary float and a sum of floats proves
nothing. A float is refused wherever money is made.
"""

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models

if TYPE_CHECKING:  # django-stubs makes the field generic; Django does not
    from django.db.models.expressions import Combinable

    _Base = models.BigIntegerField[Any, Any]
else:
    _Base = models.BigIntegerField

PAISA = Decimal("0.01")
ZERO = Decimal("0.00")


class FloatMoneyError(TypeError):
    """A binary float was offered as money."""


def money(value: Decimal | int | str) -> Decimal:
    """`value` in rupees, rounded half up to the paisa. The only rounding of money.

    Raises FloatMoneyError for a float: 0.1 + 0.2 is not thirty paise.
    """
    if isinstance(value, float):
        raise FloatMoneyError(f"money must be Decimal, int or str, was float {value!r}")
    return Decimal(value).quantize(PAISA, rounding=ROUND_HALF_UP)


def price(value: Decimal | int | str | float) -> Decimal:
    """A price of the feed (a double on the wire) as Decimal with four places, half up."""
    return Decimal(str(value)).quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP)


def notional(*, price: Decimal, quantity: int) -> Decimal:
    """Rupees that `quantity` units cost at `price`: the only crossing of price and quantity."""
    return money(price * quantity)


def on_tick(*, price: Decimal, tick_size: Decimal) -> bool:
    """Whether `price` lies on the grid of `tick_size` (both rupees)."""
    return price % tick_size == 0


class FixedPointField(_Base):
    """A Decimal with `places` decimals, stored as an integer of its smallest unit.

    Sums, comparisons and `F("x") + F("y")` are exact on every database. Arithmetic of an `F`
    with a bare Decimal is not understood by the database: lock the row and write the value.
    """

    places = 2
    # django-stubs' hook: what may be assigned, and what is read.
    _pyi_private_set_type: "Decimal | int | str | Combinable"  # type: ignore[assignment]
    _pyi_private_get_type: Decimal  # type: ignore[assignment]

    def from_db_value(self, value: int | None, expression: Any, connection: Any) -> Decimal | None:
        return None if value is None else Decimal(int(value)).scaleb(-self.places)

    def to_python(self, value: Any) -> Decimal | None:
        if value is None or value == "":
            return None
        if isinstance(value, float):
            raise FloatMoneyError(f"{self.name} must be Decimal, int or str, was float {value!r}")
        try:
            return Decimal(value)
        except ArithmeticError as error:
            raise ValidationError("Enter a number.", code="invalid") from error

    def get_prep_value(self, value: Any) -> Any:
        if value is None or hasattr(value, "resolve_expression"):
            return value
        if isinstance(value, float):
            raise FloatMoneyError(f"{self.name} must be Decimal, int or str, was float {value!r}")
        scaled = Decimal(value).scaleb(self.places)
        if scaled != scaled.to_integral_value():
            raise ValueError(f"{self.name} has more than {self.places} decimals: {value}")
        return int(scaled)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return value if prepared else self.get_prep_value(value)

    def formfield(self, **kwargs: Any) -> Any:
        from django import forms

        return models.Field.formfield(
            self,
            **{
                "form_class": forms.DecimalField,
                "max_digits": 18,
                "decimal_places": self.places,
                **kwargs,
            },
        )

    @property
    def validators(self) -> list[Any]:
        # BigIntegerField's range validators compare the stored integer, not the Decimal.
        return list(self._validators)  # type: ignore[attr-defined]

    def value_to_string(self, obj: models.Model) -> str:
        value = self.value_from_object(obj)
        return "" if value is None else str(value)


class MoneyField(FixedPointField):
    """Rupees with two decimals, stored in paise."""

    places = 2


class PriceField(FixedPointField):
    """A price with four decimals, stored in ten-thousandths of a rupee."""

    places = 4
