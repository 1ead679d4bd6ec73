"""Contests, portfolios and their books."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.forms import DecimalField
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from mockmarket.core.admin_base import (
    ReadOnlyAdmin,
    ReadOnlyInline,
    ReasonDialog,
    link,
    list_link,
    reasoned,
)
from mockmarket.core.models import User
from portfolios import admin_contests as admin_contests
from portfolios import admin_records as admin_records
from portfolios import booking
from portfolios.models import LedgerEntry, Portfolio, PortfolioSnapshot, Position, Posting


class AdjustmentDialog(ReasonDialog):
    """Cash in (positive) or out (negative), with a reason."""

    amount = DecimalField(
        max_digits=14,
        decimal_places=2,
        widget=UnfoldAdminDecimalFieldWidget,
        help_text="Rupees; negative takes cash out.",
    )
    field_order = ["amount", "reason"]


@admin.register(Portfolio)
class PortfolioAdmin(ReadOnlyAdmin):
    """One student in one contest. Cash changes only by ledger entries."""

    list_display = ["owner", "contest", "cash", "reserved", "joined_at", "left_at", "books"]
    list_filter = ["contest", ("left_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user", "contest"]
    search_fields = ["user__username", "user__last_name", "user__email", "contest__name"]
    date_hierarchy = "joined_at"
    ordering = ["-joined_at"]
    readonly_fields = ["books"]
    actions_detail = ["adjust_cash"]

    @admin.display(description="Student", ordering="user__username")
    def owner(self, obj: Portfolio) -> str | SafeString:
        return link(obj.user, obj.user.username)

    @admin.display(description="Books")
    def books(self, obj: Portfolio) -> SafeString:
        wanted = {"portfolio__id__exact": obj.pk}
        return format_html(
            "{} · {}",
            list_link(LedgerEntry, "Ledger", wanted),
            list_link(Position, "Positions", wanted),
        )

    def has_adjust_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("portfolios.change_portfolio"))

    @reasoned(
        title="Adjust cash",
        text="Booked as a ledger entry that the student sees, with your reason.",
        path="adjust-cash",
        permission="adjust",
        icon="payments",
        form=AdjustmentDialog,
        verb="Book it",
        done="The adjustment is booked.",
    )
    def adjust_cash(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        booking.adjust_cash(
            portfolio=Portfolio.objects.get(pk=target),
            amount=given["amount"],
            reason=given["reason"],
            actor=actor,
            at=at,
        )


class PostingInline(ReadOnlyInline):
    model = Posting
    fields = ["account", "amount"]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    """The books. Entries are written once; a mistake is reversed by another entry."""

    list_display = ["occurred_at", "owner", "seq", "kind", "description", "reference"]
    list_filter = ["kind", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest"]
    search_fields = ["=id", "reference", "description", "portfolio__user__username"]
    date_hierarchy = "occurred_at"
    ordering = ["-occurred_at", "-seq"]
    inlines = [PostingInline]
    raw_id_fields = ["portfolio", "reverses"]
    actions_detail = ["reverse"]

    def has_reverse_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        return bool(request.user.has_perm("portfolios.change_portfolio"))

    @reasoned(
        title="Reverse",
        text="Booked as a mirror image; the entry itself stays. Fills are not reversed.",
        path="reverse",
        permission="reverse",
        icon="undo",
        verb="Reverse it",
        done="The entry is reversed.",
    )
    def reverse(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        booking.reverse_entry(
            entry=LedgerEntry.objects.get(pk=target), reason=given["reason"], actor=actor, at=at
        )

    @admin.display(description="Portfolio", ordering="portfolio__user__username")
    def owner(self, obj: LedgerEntry) -> str | SafeString:
        return link(obj.portfolio, f"{obj.portfolio.user.username} · {obj.portfolio.contest.name}")


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    """Sides of ledger entries; each entry's sum to zero."""

    list_display = ["entry_link", "account", "amount"]
    list_filter = ["account"]
    list_select_related = ["entry"]
    search_fields = ["=entry__id", "entry__reference", "portfolio__user__username"]
    ordering = ["-pk"]
    raw_id_fields = ["entry", "portfolio"]

    @admin.display(description="Entry")
    def entry_link(self, obj: Posting) -> str | SafeString:
        return link(obj.entry, obj.entry.description)


@admin.register(Position)
class PositionAdmin(ReadOnlyAdmin):
    """What portfolios hold: a fold of their fills."""

    list_display = [
        "owner",
        "share",
        "product",
        "quantity",
        "settled_quantity",
        "cost",
        "realised_pnl",
        "charges",
        "updated_at",
    ]
    list_filter = ["product", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest", "instrument"]
    search_fields = ["portfolio__user__username", "instrument__symbol"]
    date_hierarchy = "updated_at"
    ordering = ["-updated_at"]

    @admin.display(description="Portfolio", ordering="portfolio__user__username")
    def owner(self, obj: Position) -> str | SafeString:
        return link(obj.portfolio, f"{obj.portfolio.user.username} · {obj.portfolio.contest.name}")

    @admin.display(description="Share", ordering="instrument__symbol")
    def share(self, obj: Position) -> str | SafeString:
        return link(obj.instrument, obj.instrument.symbol)


@admin.register(PortfolioSnapshot)
class PortfolioSnapshotAdmin(ReadOnlyAdmin):
    """Equity by time."""

    list_display = ["taken_at", "owner", "kind", "equity", "cash", "benchmark"]
    list_filter = ["kind", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest"]
    search_fields = ["portfolio__user__username"]
    date_hierarchy = "taken_at"
    ordering = ["-taken_at"]

    @admin.display(description="Portfolio", ordering="portfolio__user__username")
    def owner(self, obj: PortfolioSnapshot) -> str | SafeString:
        return link(obj.portfolio, f"{obj.portfolio.user.username} · {obj.portfolio.contest.name}")
