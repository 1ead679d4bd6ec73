"""Instruments, their prices, the calendar and the news."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.admin import TabularInline
from unfold.decorators import display

from marketdata import admin_broker as admin_broker
from marketdata import halts
from marketdata.models import (
    CalendarDay,
    Candle,
    ClosingPrice,
    IndexMember,
    Instrument,
    LastPrice,
    NewsItem,
    NewsSource,
    OptionChainSnapshot,
    Watchlist,
    WatchlistItem,
)
from mockmarket.core.admin_base import AuditedAdmin, ReadOnlyAdmin, link, list_link, reasoned
from mockmarket.core.models import User


class MemberInline(TabularInline):  # type: ignore[misc]
    model = IndexMember
    fk_name = "index"
    extra = 0
    autocomplete_fields = ["instrument"]
    tab = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[IndexMember]:
        rows: QuerySet[IndexMember] = super().get_queryset(request)
        return rows.select_related("index", "instrument")


@admin.register(Instrument)
class InstrumentAdmin(AuditedAdmin):
    """Facts come from the instrument file; what staff decide is the universe and halts."""

    list_display = ["symbol", "name", "segment", "sector", "tick_size", "lot_size", "trading"]
    list_filter = ["segment", "halted", "active", "in_universe", "instrument_type", "sector"]
    search_fields = ["symbol", "name", "isin", "key"]
    ordering = ["-in_universe", "symbol"]
    fieldsets = [
        ("Instrument", {"fields": ["key", "symbol", "name", "short_name", "isin", "related"]}),
        ("Listing", {"fields": ["exchange", "segment", "instrument_type", "security_type"]}),
        ("Universe", {"fields": ["sector", "in_universe", "cas_eligible"]}),
        ("Trading", {"fields": ["tick_size", "lot_size", "freeze_quantity", "active"]}),
        ("Halt", {"fields": ["halted", "halt_reason"]}),
        ("Contract", {"fields": ["underlying_key", "expiry_date", "strike_price", "weekly"]}),
    ]
    editable = ("sector", "in_universe", "cas_eligible", "short_name")
    actions_detail = ["halt", "resume"]

    @reasoned(
        title="Halt trading",
        text="No order in it is accepted or filled until it is resumed. Students read the reason.",
        path="halt",
        permission="change",
        icon="pause",
        verb="Halt it",
        done="Trading is halted.",
    )
    def halt(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        row = Instrument.objects.get(pk=target)
        halts.set_halt(instrument=row, halted=True, reason=given["reason"], actor=actor, at=at)

    @reasoned(
        title="Resume trading",
        text="Waiting orders take part again with the next price.",
        path="resume",
        permission="change",
        icon="play_arrow",
        verb="Resume it",
        done="Trading goes on.",
    )
    def resume(self, actor: User, given: dict[str, Any], target: Any, at: datetime) -> None:
        row = Instrument.objects.get(pk=target)
        halts.set_halt(instrument=row, halted=False, reason=given["reason"], actor=actor, at=at)

    @display(
        description="Trading",
        ordering="halted",
        label={"Halted": "danger", "Trades": "success", "Retired": "warning"},
    )
    def trading(self, obj: Instrument) -> str:
        if obj.halted:
            return "Halted"
        return "Trades" if obj.active else "Retired"

    @admin.display(description="See also")
    def related(self, obj: Instrument) -> SafeString:
        return list_link(ClosingPrice, "Closing prices", {"instrument__id__exact": obj.pk})

    def get_readonly_fields(self, request: HttpRequest, obj: Instrument | None = None) -> Any:
        names = [field.name for field in Instrument._meta.fields if field.name != "id"]
        return [*(name for name in names if name not in self.editable), "related"]

    def get_inlines(self, request: HttpRequest, obj: Instrument | None) -> Any:
        return [MemberInline] if obj is not None and obj.segment.endswith("_INDEX") else []

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(IndexMember)
class IndexMemberAdmin(ReadOnlyAdmin):
    """Which share belongs to which index; edited on the index's page."""

    list_display = ["index", "instrument", "weight"]
    list_filter = ["index"]
    list_select_related = ["index", "instrument"]
    search_fields = ["index__symbol", "instrument__symbol"]
    ordering = ["index__symbol", "-weight"]


@admin.register(LastPrice)
class LastPriceAdmin(ReadOnlyAdmin):
    """The end of the fallback chain; live prices are never rows."""

    list_display = ["instrument", "last_price", "previous_close", "volume", "traded_at", "source"]
    list_filter = ["source"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol", "instrument__name"]
    date_hierarchy = "traded_at"
    ordering = ["-traded_at"]


@admin.register(Candle)
class CandleAdmin(ReadOnlyAdmin):
    """Minutes and days of trading."""

    list_display = ["instrument", "interval", "start", "open", "high", "low", "close", "volume"]
    list_filter = ["interval"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]
    ordering = ["-pk"]


@admin.register(ClosingPrice)
class ClosingPriceAdmin(ReadOnlyAdmin):
    """Written once at each close; the next session's previous close."""

    list_display = ["session_date", "instrument", "close", "previous_close", "volume", "source"]
    list_filter = ["source"]
    list_select_related = ["instrument"]
    search_fields = ["instrument__symbol"]
    date_hierarchy = "session_date"
    ordering = ["-session_date", "instrument__symbol"]


@admin.register(CalendarDay)
class CalendarDayAdmin(AuditedAdmin):
    """Holidays and special sessions beyond the bundled calendar."""

    list_display = ["session_date", "description", "kind", "markets"]
    search_fields = ["description"]
    date_hierarchy = "session_date"
    ordering = ["-session_date"]

    @display(description="Kind", label={"Holiday": "danger", "Special session": "info"})
    def kind(self, obj: CalendarDay) -> str:
        return "Special session" if obj.spans else "Holiday"


@admin.register(NewsSource)
class NewsSourceAdmin(AuditedAdmin):
    """Where headlines come from."""

    list_display = ["name", "kind", "url", "active", "fetched_at", "last_error"]
    list_filter = ["active", "kind"]
    search_fields = ["name", "url"]
    ordering = ["name"]
    readonly_fields = ["fetched_at", "last_error", "items_link"]

    @admin.display(description="Headlines")
    def items_link(self, obj: NewsSource) -> SafeString:
        return list_link(NewsItem, "Its headlines", {"source__id__exact": obj.pk})


@admin.register(NewsItem)
class NewsItemAdmin(ReadOnlyAdmin):
    """Headlines; a wrong one may be removed."""

    list_display = ["published_at", "title", "source"]
    list_filter = ["source"]
    list_select_related = ["source"]
    search_fields = ["title", "summary"]
    date_hierarchy = "published_at"
    ordering = ["-published_at"]
    filter_horizontal = ["instruments"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("marketdata.delete_newsitem"))


class WatchlistItemInline(TabularInline):  # type: ignore[misc]
    model = WatchlistItem
    extra = 0
    fields = ["instrument", "position"]
    can_delete = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[WatchlistItem]:
        rows: QuerySet[WatchlistItem] = super().get_queryset(request)
        return rows.select_related("instrument")


@admin.register(Watchlist)
class WatchlistAdmin(ReadOnlyAdmin):
    """Users' lists."""

    list_display = ["name", "owner", "position"]
    list_select_related = ["user"]
    search_fields = ["name", "user__username"]
    ordering = ["user__username", "position"]
    inlines = [WatchlistItemInline]

    @admin.display(description="User", ordering="user__username")
    def owner(self, obj: Watchlist) -> str | SafeString:
        return link(obj.user, obj.user.username)


@admin.register(WatchlistItem)
class WatchlistItemAdmin(ReadOnlyAdmin):
    """Shares on users' lists."""

    list_display = ["watchlist_name", "instrument", "position"]
    list_select_related = ["watchlist", "instrument"]
    search_fields = ["watchlist__name", "instrument__symbol"]
    ordering = ["watchlist_id", "position"]

    @admin.display(description="Watchlist", ordering="watchlist__name")
    def watchlist_name(self, obj: WatchlistItem) -> str | SafeString:
        return link(obj.watchlist, obj.watchlist.name)


@admin.register(OptionChainSnapshot)
class OptionChainSnapshotAdmin(ReadOnlyAdmin):
    """Swept option chains; the columns themselves are packed."""

    list_display = [
        "taken_at",
        "underlying",
        "expiry_date",
        "kind",
        "spot",
        "put_call_ratio",
        "max_pain",
    ]
    list_filter = ["kind", "session_date"]
    list_select_related = ["underlying"]
    search_fields = ["underlying__symbol"]
    date_hierarchy = "session_date"
    ordering = ["-taken_at"]
    exclude = ["columns"]
