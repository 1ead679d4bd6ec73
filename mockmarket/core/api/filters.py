"""Filters of lists: django-filter sets, refused in the envelope and described in the schema."""

from typing import Any, TypeVar

import django_filters
from django.db.models import Model, QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import exceptions
from rest_framework.request import Request

M = TypeVar("M", bound=Model)


def apply(
    *, filters: type[django_filters.FilterSet], request: Request, queryset: QuerySet[M]
) -> QuerySet[M]:
    """`queryset` as the request's parameters restrict it; a bad one is an `invalid_input`."""
    blank = [name for name in filters.base_filters if request.query_params.get(name) == ""]
    if blank:
        raise exceptions.ValidationError({blank[0]: ["Give a value or leave it out."]})
    found = filters(data=request.query_params, queryset=queryset, request=request)
    if not found.is_valid():
        raise exceptions.ValidationError(found.errors)
    restricted: QuerySet[M] = found.qs
    return restricted


def parameters(filters: type[django_filters.FilterSet]) -> list[OpenApiParameter]:
    """The set's filters for the schema."""
    return [
        OpenApiParameter(name, _schema(found), description=str(found.extra.get("help_text", "")))
        for name, found in filters.base_filters.items()
    ]


def _schema(found: django_filters.Filter) -> dict[str, Any]:
    if isinstance(found, django_filters.BooleanFilter):
        return {"type": "boolean"}
    if isinstance(found, django_filters.DateFilter):
        return {"type": "string", "format": "date"}
    if isinstance(found, django_filters.IsoDateTimeFilter):
        return {"type": "string", "format": "date-time"}
    if isinstance(found, django_filters.ChoiceFilter):
        return {"type": "string", "enum": [value for value, _ in found.extra["choices"]]}
    return {"type": "string", "minLength": 1}
