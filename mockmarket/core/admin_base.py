"""What every admin page shares: read-only records, reasons kept in the audit log, links."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import lru_cache, wraps
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.options import BaseModelAdmin
from django.contrib.admin.utils import flatten_fieldsets
from django.db import transaction
from django.db.models import Model, URLField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import action
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from mockmarket.core import clock
from mockmarket.core.audit import REASON_MAX, audit
from mockmarket.core.errors import DomainError
from mockmarket.core.formats import rupees
from mockmarket.core.models import User
from mockmarket.core.money import FixedPointField, MoneyField


def reason_field() -> forms.CharField:
    """Why; asked for by every change of money or rules."""
    return forms.CharField(
        max_length=REASON_MAX,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text="Kept in the audit log, with your name.",
    )


class ReasonForm(forms.ModelForm):  # type: ignore[type-arg]
    """A change that says why."""

    reason = reason_field()


class ReasonDialog(BaseDialogForm):  # type: ignore[misc]
    """The dialog of an action that needs nothing but a reason."""

    reason = reason_field()


@lru_cache(maxsize=512)
def _in_rupees(field: FixedPointField) -> Callable[[Model], str]:
    """A column that writes an amount as the desk does: ₹12,34,567.50, a price to its last place."""

    def shown(row: Model) -> str:
        text = rupees(field.value_from_object(row), places=field.places)
        return text.removesuffix("00") if field.places > MoneyField.places else text

    shown.__name__ = field.name  # finds the field's help text
    return admin.display(description=str(field.verbose_name), ordering=field.name)(shown)


class GroupedAmounts(BaseModelAdmin):  # type: ignore[type-arg]
    """Amounts that are only looked at are written in rupees with Indian grouping; Django writes
    the bare number."""

    def grouped(self, names: Iterable[Any]) -> list[Any]:
        """The columns, with the amounts among them written out."""
        amounts = {one.name: one for one in self.opts.fields if isinstance(one, FixedPointField)}

        def written(name: Any) -> Any:
            if isinstance(name, list | tuple):
                return tuple(map(written, name))
            return _in_rupees(amounts[name]) if name in amounts else name

        return list(map(written, names))

    def get_list_display(self, request: HttpRequest) -> Any:
        return self.grouped(super().get_list_display(request))  # type: ignore[misc]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        return [
            (title, {**options, "fields": self.grouped(options["fields"])})
            for title, options in fieldsets
        ]


class ReadOnlyInline(GroupedAmounts, TabularInline):  # type: ignore[misc]
    """Rows beneath a record that no one writes by hand."""

    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        return flatten_fieldsets(self.get_fieldsets(request, obj))


class StaffAdmin(GroupedAmounts, ModelAdmin):  # type: ignore[misc]
    """Lists without counting whole tables twice, and forms that warn before they are left."""

    list_per_page = 50
    show_full_result_count = False
    compressed_fields = True
    warn_unsaved_form = True
    # An address without its scheme is https, as from Django 6.0 everywhere.
    formfield_overrides = {URLField: {"assume_scheme": "https"}}


class ReadOnlyAdmin(StaffAdmin):
    """Records that no one writes by hand."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class AuditedAdmin(StaffAdmin):
    """Changes ask for a reason and are written to the audit log with what was before."""

    form = ReasonForm

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        fieldsets = [
            (name, {**options, "fields": [f for f in options["fields"] if f != "reason"]})
            for name, options in super().get_fieldsets(request, obj)
        ]
        editable = self.has_change_permission(request, obj) if obj else True
        return [*fieldsets, ("Why", {"fields": ["reason"]})] if editable else fieldsets

    def audited(self, form: Any, *, change: bool) -> list[str]:
        """The fields that are recorded here; those that a service keeps are recorded by it."""
        return [name for name in form.changed_data if name != "reason"]

    def save_model(self, request: HttpRequest, obj: Model, form: Any, change: bool) -> None:
        names = self.audited(form, change=change)
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            if change and not names:
                return
            audit(
                actor=request.user,  # type: ignore[arg-type]
                action=f"{self.opts.model_name}.{'change' if change else 'add'}",
                target=obj,
                reason=form.cleaned_data["reason"],
                at=clock.now(),
                before={name: _text(form.initial.get(name)) for name in names} if change else {},
                after={name: _text(form.cleaned_data.get(name)) for name in names},
            )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def run(
    *, request: HttpRequest, call: Callable[[], Any], done: str, url: str | None = None
) -> HttpResponse:
    """Runs a service for a dialog's action and comes back with its success or its refusal."""
    try:
        call()
    except DomainError as refusal:
        messages.error(request, refusal.message)
    else:
        messages.success(request, done)
    target = url or request.headers.get("HX-Current-URL") or reverse("admin:index")
    if request.headers.get("HX-Request"):
        return HttpResponse(headers={"HX-Redirect": target})
    return HttpResponseRedirect(target)


Work = Callable[[Any, User, dict[str, Any], Any, datetime], object]


def reasoned(
    *,
    title: str,
    text: str,
    path: str,
    permission: str,
    icon: str,
    done: str,
    form: type[BaseDialogForm] = ReasonDialog,
    verb: str = "",
    url: Callable[[], str] | None = None,
) -> Callable[[Work], Any]:
    """An action of staff that is confirmed with a reason, in the one dialog that all of them share.

    What it decorates gets the admin, the actor, the dialog's answers (a reason among them), the
    row's id (None for an action of a list) and the instant, and calls one service; a refusal of
    the service is shown in its own words.
    """

    def decorate(work: Work) -> Any:
        @action(
            description=title,
            url_path=path,
            permissions=[permission],
            icon=icon,
            dialog={
                "title": title,
                "description": text,
                "form_class": form,
                "form_submit_text": verb or title,
            },
        )
        @wraps(work)
        def confirmed(
            self: Any, request: HttpRequest, given: BaseDialogForm, object_id: Any = None
        ) -> HttpResponse:
            actor = cast("User", request.user)
            return run(
                request=request,
                call=lambda: work(self, actor, given.cleaned_data, object_id, clock.now()),
                done=done,
                url=url() if url is not None else None,
            )

        return confirmed

    return decorate


def link(target: Model | None, text: object = None) -> str | SafeString:
    """A link to the admin page of a row."""
    if target is None:
        return "—"
    opts = target._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_change", args=[target.pk])
    return format_html('<a href="{}" class="text-link">{}</a>', url, text or target)


def list_link(
    model: type[Model], text: object, filters: Mapping[str, str | int | None]
) -> SafeString:
    """A link to the list of related rows; a row that is only being made has none."""
    known = {name: value for name, value in filters.items() if value is not None}
    if len(known) < len(filters):
        return SafeString("—")
    opts = model._meta
    url = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    return format_html('<a href="{}?{}" class="text-link">{}</a>', url, urlencode(known), text)
