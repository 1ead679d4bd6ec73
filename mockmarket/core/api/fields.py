"""Serializer fields of the domain: exact decimals as strings, instants in UTC."""

from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from mockmarket.core import money as core_money

_DECIMAL = {"type": "string", "format": "decimal", "pattern": r"^-?\d+(\.\d+)?$"}


def price_text(value: Decimal | float | None) -> str | None:
    """A price with two decimals, or four where it needs them."""
    if value is None:
        return None
    text = str(core_money.price(value))
    return text[:-2] if text.endswith("00") else text


class _ExactField(serializers.Field[Any, Any, Any, Any]):
    """Reads text or a JSON number; a number is taken by its shortest text, never as binary."""

    places = 2
    default_error_messages = {
        "invalid": "Enter a number.",
        "places": "At most {places} decimals.",
        "range": "Too large.",
    }

    def to_internal_value(self, data: Any) -> Decimal:
        if isinstance(data, bool) or not isinstance(data, str | int | float):
            self.fail("invalid")
        try:
            value = Decimal(str(data).strip())
        except InvalidOperation:
            self.fail("invalid")
        if not value.is_finite():
            self.fail("invalid")
        if abs(value) >= Decimal(10) ** 13:
            self.fail("range")
        if value != value.quantize(Decimal(1).scaleb(-self.places)):
            self.fail("places", places=self.places)
        return value


@extend_schema_field({**_DECIMAL, "examples": ["104250.00"]})
class Money(_ExactField):
    """Rupees with two decimals."""

    def to_representation(self, value: Decimal | int | str) -> str:
        return str(core_money.money(value))


@extend_schema_field({**_DECIMAL, "examples": ["2450.50"]})
class Price(_ExactField):
    """A price: two decimals, or four where it needs them."""

    places = 4

    def to_representation(self, value: Decimal | float) -> str:
        return price_text(value) or ""


@extend_schema_field({**_DECIMAL, "examples": ["4.25"]})
class Percent(serializers.Field[Any, Any, Any, Any]):
    """Percent with up to four decimals; output only."""

    def to_representation(self, value: Decimal | float) -> str:
        return str(Decimal(str(value)).quantize(Decimal("0.0001")).normalize() + Decimal(0))


class Instant(serializers.DateTimeField):
    """ISO 8601, in UTC."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(default_timezone=UTC, **kwargs)


class RequestSerializer(serializers.Serializer[Any]):
    """A request body taken at its word: a misspelt field is never ignored, and a number where a
    text belongs is never turned into one."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(map(str, data)) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(
                    {name: ["There is no such field."] for name in unknown}
                )
            for name, field in self.fields.items():
                _refuse_other_type(name, field, data.get(name))
        return super().to_internal_value(data)


def _refuse_other_type(name: str, field: Any, value: Any) -> None:
    if value is None:
        return
    if isinstance(field, serializers.CharField) and not isinstance(value, str):
        raise serializers.ValidationError({name: ["Not a text."]})
    if isinstance(field, serializers.BooleanField) and not isinstance(value, bool):
        raise serializers.ValidationError({name: ["Not true or false."]})
