"""Announcements, results, journals and invitations in the admin."""

from typing import Any, cast

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString

from mockmarket.core import clock
from mockmarket.core.admin_base import ReadOnlyAdmin, StaffAdmin, link
from mockmarket.core.models import User
from portfolios import announcements
from portfolios.models import (
    Announcement,
    ContestClosing,
    Invitation,
    JournalEntry,
    PortfolioMetrics,
    Result,
)


@admin.register(Announcement)
class AnnouncementAdmin(StaffAdmin):
    """Written once, shown at once on every open page; what was said stays said."""

    list_display = ["created_at", "title", "contest", "author"]
    list_filter = ["contest"]
    list_select_related = ["contest", "author"]
    search_fields = ["title", "body"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]
    fields = ["contest", "title", "body"]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        made = announcements.announce(
            author=cast("User", request.user),
            title=obj.title,
            body=obj.body,
            contest=obj.contest,
            at=clock.now(),
        )
        obj.pk = made.pk


class _OfPortfolio(ReadOnlyAdmin):
    """Rows that belong to one portfolio."""

    list_select_related = ["portfolio__user", "portfolio__contest"]
    search_fields = ["portfolio__user__username"]

    @admin.display(description="Portfolio", ordering="portfolio__user__username")
    def owner(self, obj: Any) -> str | SafeString:
        return link(obj.portfolio, f"{obj.portfolio.user.username} · {obj.portfolio.contest.name}")


@admin.register(Result)
class ResultAdmin(_OfPortfolio):
    """Frozen results; append-only, rebuilt and compared by a command."""

    list_display = ["owner", "rank", "of", "alias", "return_percent", "fills", "code"]
    list_filter = ["contest"]
    search_fields = ["portfolio__user__username", "alias", "code"]
    ordering = ["contest", "rank"]


@admin.register(PortfolioMetrics)
class PortfolioMetricsAdmin(_OfPortfolio):
    """What the boards rank by, besides return."""

    list_display = [
        "owner",
        "sessions",
        "sharpe",
        "drawdown_percent",
        "win_rate",
        "consistency",
        "computed_at",
    ]
    list_filter = ["portfolio__contest"]
    date_hierarchy = "computed_at"
    ordering = ["-computed_at"]


@admin.register(JournalEntry)
class JournalEntryAdmin(_OfPortfolio):
    """Students' reasons and notes."""

    list_display = ["created_at", "owner", "kind", "instrument", "text"]
    list_filter = ["kind", "portfolio__contest"]
    list_select_related = ["portfolio__user", "portfolio__contest", "instrument"]
    search_fields = ["text", "portfolio__user__username", "instrument__symbol"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    """Who stands on a contest's roster."""

    list_display = ["contest", "student", "created_at"]
    list_filter = ["contest"]
    list_select_related = ["contest", "user"]
    search_fields = ["user__username", "user__email", "contest__name"]
    date_hierarchy = "created_at"
    ordering = ["-created_at"]

    @admin.display(description="Student", ordering="user__username")
    def student(self, obj: Invitation) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(ContestClosing)
class ContestClosingAdmin(ReadOnlyAdmin):
    """The prices that a contest's result rests on."""

    list_display = ["contest", "taken_at"]
    list_select_related = ["contest"]
    search_fields = ["contest__name"]
    date_hierarchy = "taken_at"
    ordering = ["-taken_at"]
