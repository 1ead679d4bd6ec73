"""Staff announce, import, apply and reverse corporate actions, each with a reason."""

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from mockmarket.core import clock
from mockmarket.core.admin_base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    ReasonForm,
    StaffAdmin,
    link,
    list_link,
    reason_field,
    reasoned,
)
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from trading.corporate_actions import importing, services
from trading.models import CorporateAction, CorporateActionStep, PositionChange

Given = dict[str, Any]  # the dialog's answers

STATUS_LABELS = {
    "ANNOUNCED": "info",
    "APPLYING": "warning",
    "APPLIED": "success",
    "REVERSING": "warning",
    "REVERSED": "danger",
    "CANCELLED": "default",
}


class AnnounceForm(ReasonForm):
    """A new action; the service refuses what makes none."""

    class Meta:
        model = CorporateAction
        fields = ("instrument", "kind", "ex_date", "numerator", "denominator", "amount", "source")

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if not self.errors:
            try:
                services.check(
                    given["instrument"], given["kind"], given["ex_date"], given["numerator"],
                    given["denominator"], given["amount"], at=clock.now(),
                )  # fmt: skip
            except DomainError as refusal:
                for field, message in (refusal.fields or {"kind": refusal.message}).items():
                    self.add_error(field, str(message))
        return given


class ImportForm(forms.Form):
    """A file and a reason."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV: symbol, kind, ex_date, ratio (5:1), amount. At most 1,000 lines.",
    )
    reason = reason_field()


def _named(target: Any) -> CorporateAction:
    return CorporateAction.objects.select_related("instrument").get(pk=target)


class StepInline(ReadOnlyInline):
    model = CorporateActionStep
    fields = ["portfolio", "units", "cash", "applied_at", "reversed_at"]
    per_page = 50
    ordering = ["portfolio_id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CorporateActionStep]:
        rows: QuerySet[CorporateActionStep] = super().get_queryset(request)
        return rows.select_related("action__instrument", "portfolio__user", "portfolio__contest")


@admin.register(CorporateAction)
class CorporateActionAdmin(StaffAdmin):
    """Announced once, applied on the ex-date by itself (or here), reversible."""

    form = AnnounceForm
    list_display = ["ex_date", "symbol", "kind", "terms", "status_label", "applied_at", "steps"]
    list_filter = ["kind", "status"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol", "instrument__name", "source"]
    date_hierarchy = "ex_date"
    ordering = ["-ex_date", "-pk"]
    raw_id_fields = ["instrument"]
    inlines = [StepInline]
    actions_list = ["import_file"]
    actions_detail = ["apply_action", "reverse_action", "cancel_action"]

    @reasoned(
        title="Apply now",
        text="Done by itself when the ex-date begins. Positions, waiting orders and alerts are"
        " adjusted or the dividend credited, once.",
        path="apply",
        permission="decide",
        icon="play_arrow",
        done="It is applied.",
    )
    def apply_action(self, actor: User, given: Given, target: Any, at: datetime) -> None:
        services.apply(action=_named(target), actor=actor, reason=given["reason"], at=at)

    @reasoned(
        title="Reverse",
        text="Everything that it changed is turned back.",
        path="reverse",
        permission="decide",
        icon="undo",
        done="It is reversed.",
    )
    def reverse_action(self, actor: User, given: Given, target: Any, at: datetime) -> None:
        services.reverse(action=_named(target), actor=actor, reason=given["reason"], at=at)

    @reasoned(
        title="Withdraw",
        text="It will not be applied.",
        path="cancel",
        permission="decide",
        icon="cancel",
        done="It is withdrawn.",
    )
    def cancel_action(self, actor: User, given: Given, target: Any, at: datetime) -> None:
        services.cancel(action=_named(target), actor=actor, reason=given["reason"], at=at)

    def has_decide_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("trading.change_corporateaction"))

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    @admin.display(description="Share", ordering="instrument__symbol")
    def symbol(self, obj: CorporateAction) -> str | SafeString:
        return link(obj.instrument, obj.instrument.symbol)

    @admin.display(description="Terms")
    def terms(self, obj: CorporateAction) -> str:
        if obj.amount is not None:
            return f"₹{obj.amount.normalize():f} a share"
        return f"{obj.numerator} for {obj.denominator}"

    @admin.display(description="Portfolios")
    def steps(self, obj: CorporateAction) -> SafeString:
        return list_link(CorporateActionStep, "What it did", {"action__id__exact": obj.pk})

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def status_label(self, obj: CorporateAction) -> tuple[str, str]:
        return obj.status, obj.get_status_display()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        given = form.cleaned_data
        made = services.announce(
            instrument=given["instrument"],
            kind=given["kind"],
            ex_date=given["ex_date"],
            numerator=given["numerator"],
            denominator=given["denominator"],
            amount=given["amount"],
            source=given["source"],
            actor=request.user,  # type: ignore[arg-type]
            reason=given["reason"],
            at=clock.now(),
        )
        obj.__dict__.update(made.__dict__)

    @action(
        description="Import a file",
        url_path="import",
        permissions=["decide"],
        icon="upload_file",
    )
    def import_file(self, request: HttpRequest) -> HttpResponse:
        form = ImportForm(request.POST or None, request.FILES or None)
        shown = {**self.admin_site.each_context(request), "title": "Import corporate actions"}
        if request.method == "POST" and form.is_valid():
            try:
                count = importing.take(
                    data=form.cleaned_data["file"].read(importing.BYTES_MAX + 1),
                    actor=request.user,  # type: ignore[arg-type]
                    reason=form.cleaned_data["reason"],
                    at=clock.now(),
                )
            except importing.InvalidFile as refusal:
                form.add_error("file", refusal.message)
                shown["lines"] = refusal.lines
            else:
                self.message_user(request, f"{count} corporate actions announced.")
                return HttpResponseRedirect(reverse("admin:trading_corporateaction_changelist"))
        return TemplateResponse(
            request, "admin/trading/corporate_actions_import.html", {**shown, "form": form}
        )


@admin.register(CorporateActionStep)
class CorporateActionStepAdmin(ReadOnlyAdmin):
    """What an action did to each portfolio."""

    list_display = ["applied_at", "action", "owner", "units", "cash", "reversed_at"]
    list_filter = ["action__kind", "portfolio__contest"]
    list_select_related = ["action__instrument", "portfolio__user"]
    search_fields = ["portfolio__user__username", "action__instrument__symbol"]
    date_hierarchy = "applied_at"
    ordering = ["-applied_at", "-pk"]

    @admin.display(description="Student", ordering="portfolio__user__username")
    def owner(self, obj: CorporateActionStep) -> str | SafeString:
        return link(obj.portfolio, obj.portfolio.user.username)


@admin.register(PositionChange)
class PositionChangeAdmin(ReadOnlyAdmin):
    """What moved positions without a fill."""

    list_display = ["occurred_at", "owner", "symbol", "kind", "quantity", "price", "realised"]
    list_filter = ["kind", "position__portfolio__contest"]
    list_select_related = ["position__portfolio__user", "position__instrument"]
    search_fields = ["position__portfolio__user__username", "position__instrument__symbol"]
    date_hierarchy = "occurred_at"
    ordering = ["-occurred_at", "-pk"]
    raw_id_fields = ["position"]

    @admin.display(description="Student", ordering="position__portfolio__user__username")
    def owner(self, obj: PositionChange) -> str | SafeString:
        return link(obj.position.portfolio, obj.position.portfolio.user.username)

    @admin.display(description="Instrument", ordering="position__instrument__symbol")
    def symbol(self, obj: PositionChange) -> str:
        return obj.position.instrument.symbol
