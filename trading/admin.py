"""Orders, fills and charges: looked at here, written only by their services."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from mockmarket.core.admin_base import AuditedAdmin, ReadOnlyAdmin, ReadOnlyInline, link
from mockmarket.core.records import english
from trading import admin_corporate_actions as admin_corporate_actions
from trading.models import Alert, AlertEvent, ChargeSchedule, EngineFence, Fill, Gtt, Order

STATUS_LABELS = {
    "QUEUED": "info",
    "OPEN": "info",
    "TRIGGER_PENDING": "info",
    "WAITING_FRESH_QUOTE": "warning",
    "PARTIALLY_FILLED": "warning",
    "FILLED": "success",
    "CANCELLED": "default",
    "REJECTED": "danger",
    "EXPIRED": "default",
}


class FillInline(ReadOnlyInline):
    model = Fill
    fields = ["filled_at", "quantity", "price", "charges", "phase", "execution_ref"]
    show_change_link = True
    ordering = ["filled_at", "sequence"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Fill]:
        rows: QuerySet[Fill] = super().get_queryset(request)
        return rows.select_related("order__instrument")


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """Every order ever placed, with its fills."""

    list_display = [
        "placed_at",
        "owner",
        "symbol",
        "side",
        "order_type",
        "product",
        "progress",
        "price",
        "average_price",
        "status_label",
    ]
    list_filter = ["status", "side", "order_type", "product", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest", "instrument"]
    search_fields = ["=id", "instrument__symbol", "portfolio__user__username", "client_order_id"]
    date_hierarchy = "placed_at"
    ordering = ["-placed_at"]
    inlines = [FillInline]

    @admin.display(description="Student", ordering="portfolio__user__username")
    def owner(self, obj: Order) -> str | SafeString:
        return link(obj.portfolio, f"{obj.portfolio.user.username} · {obj.portfolio.contest.name}")

    @admin.display(description="Share", ordering="instrument__symbol")
    def symbol(self, obj: Order) -> str | SafeString:
        return link(obj.instrument, obj.instrument.symbol)

    @admin.display(description="Filled")
    def progress(self, obj: Order) -> str:
        return f"{obj.filled_quantity} of {obj.quantity}"

    @display(description="Status", ordering="status", label=STATUS_LABELS)
    def status_label(self, obj: Order) -> tuple[str, str]:
        return obj.status, obj.get_status_display()


@admin.register(Fill)
class FillAdmin(ReadOnlyAdmin):
    """Fills with the quote and the rules that made their price."""

    list_display = ["filled_at", "owner", "symbol", "side", "quantity", "price", "charges", "phase"]
    list_filter = ["phase", "order__side", "order__portfolio__contest"]
    list_select_related = [
        "order__portfolio__user",
        "order__portfolio__contest",
        "order__instrument",
    ]
    search_fields = [
        "=id",
        "=order__id",
        "order__instrument__symbol",
        "order__portfolio__user__username",
    ]
    date_hierarchy = "filled_at"
    ordering = ["-filled_at"]
    raw_id_fields = ["order"]

    @admin.display(description="Student", ordering="order__portfolio__user__username")
    def owner(self, obj: Fill) -> str | SafeString:
        return link(obj.order, obj.order.portfolio.user.username)

    @admin.display(description="Share", ordering="order__instrument__symbol")
    def symbol(self, obj: Fill) -> str | SafeString:
        return link(obj.order.instrument, obj.order.instrument.symbol)

    @admin.display(description="Side", ordering="order__side")
    def side(self, obj: Fill) -> str:
        return obj.order.get_side_display()


@admin.register(ChargeSchedule)
class ChargeScheduleAdmin(AuditedAdmin):
    """Rates by date. A change of law is a new row; old fills keep the rates of their day."""

    list_display = ["kind", "effective_from", "source"]
    list_filter = ["kind"]
    search_fields = ["source"]
    date_hierarchy = "effective_from"
    ordering = ["kind", "-effective_from"]


@admin.register(EngineFence)
class EngineFenceAdmin(ReadOnlyAdmin):
    """The token of the engine that may write fills."""

    list_display = ["token", "taken_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[EngineFence]:
        rows: QuerySet[EngineFence] = super().get_queryset(request)
        return rows.order_by("pk")


@admin.register(Gtt)
class GttAdmin(ReadOnlyAdmin):
    """Good-till-triggered instructions, one-cancels-other and brackets."""

    list_display = [
        "created_at",
        "owner",
        "instrument",
        "side",
        "quantity",
        "lower_trigger",
        "upper_trigger",
        "status",
    ]
    list_filter = ["status", "side", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest", "instrument"]
    search_fields = ["=id", "portfolio__user__username", "instrument__symbol"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    raw_id_fields = ["entry", "order"]

    @admin.display(description="Student", ordering="portfolio__user__username")
    def owner(self, obj: Gtt) -> str | SafeString:
        return link(obj.portfolio, obj.portfolio.user.username)


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """What users want to be told."""

    list_display = ["owner", "instrument", "kind", "threshold", "active", "fired_count", "fired_at"]
    list_filter = ["kind", "active"]
    list_select_related = ["user", "instrument"]
    search_fields = ["user__username", "instrument__symbol", "note"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]

    @admin.display(description="User", ordering="user__username")
    def owner(self, obj: Alert) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(AlertEvent)
class AlertEventAdmin(ReadOnlyAdmin):
    """Alerts that fired."""

    list_display = ["fired_at", "owner", "happened", "price"]
    list_select_related = ["alert__user", "alert__instrument"]
    search_fields = ["message", "alert__user__username"]
    date_hierarchy = "fired_at"
    ordering = ["-fired_at"]

    @admin.display(description="What happened")
    def happened(self, obj: AlertEvent) -> str:
        return english(obj.message)

    @admin.display(description="User", ordering="alert__user__username")
    def owner(self, obj: AlertEvent) -> str | SafeString:
        return link(obj.alert.user, obj.alert.user.username)
