"""The admin's frame: its name, colours, and the sidebar grouped by what staff come to do."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy


def _may_view(model: str) -> Callable[[HttpRequest], bool]:
    app_label, _, name = model.partition(".")
    return lambda request: request.user.has_perm(f"{app_label}.view_{name}")


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{model.replace('.', '_')}_changelist"),
        "permission": _may_view(model),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "MockMarket staff",
    "SITE_HEADER": "MockMarket",
    "SITE_SUBHEADER": "Staff",
    "SITE_SYMBOL": "candlestick_chart",
    "SITE_FAVICONS": [{"rel": "icon", "href": lambda request: static("favicon.svg")}],
    "DASHBOARD_CALLBACK": "portfolios.staff_home.context",
    "COLORS": {
        "primary": {
            "50": "oklch(97% .02 165)",
            "100": "oklch(94% .04 165)",
            "200": "oklch(88% .08 165)",
            "300": "oklch(80% .12 165)",
            "400": "oklch(70% .14 165)",
            "500": "oklch(60% .13 165)",
            "600": "oklch(52% .11 165)",
            "700": "oklch(44% .09 165)",
            "800": "oklch(37% .07 165)",
            "900": "oklch(31% .06 165)",
            "950": "oklch(22% .04 165)",
        }
    },
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": [
            {
                "title": "Contests",
                "separator": True,
                "items": [
                    _item("Contests", "trophy", "portfolios.contest"),
                    _item("Portfolios", "account_balance_wallet", "portfolios.portfolio"),
                    _item("Positions", "pie_chart", "portfolios.position"),
                    _item("Ledger", "menu_book", "portfolios.ledgerentry"),
                    _item("Postings", "receipt_long", "portfolios.posting"),
                    _item("Announcements", "campaign", "portfolios.announcement"),
                    _item("Rosters", "how_to_reg", "portfolios.invitation"),
                    _item("Results", "military_tech", "portfolios.result"),
                    _item("Closing values", "event_busy", "portfolios.contestclosing"),
                    _item("Measures", "query_stats", "portfolios.portfoliometrics"),
                    _item("Journal", "edit_note", "portfolios.journalentry"),
                    _item("Equity history", "show_chart", "portfolios.portfoliosnapshot"),
                ],
            },
            {
                "title": "Trading",
                "separator": True,
                "items": [
                    _item("Orders", "list_alt", "trading.order"),
                    _item("Fills", "done_all", "trading.fill"),
                    _item("Triggers", "bolt", "trading.gtt"),
                    _item("Alerts", "notifications", "trading.alert"),
                    _item("Alerts fired", "notifications_active", "trading.alertevent"),
                    _item("Charges", "percent", "trading.chargeschedule"),
                    _item("Corporate actions", "call_split", "trading.corporateaction"),
                    _item("Actions by portfolio", "checklist", "trading.corporateactionstep"),
                    _item("Position changes", "swap_vert", "trading.positionchange"),
                ],
            },
            {
                "title": "Market",
                "separator": True,
                "items": [
                    _item("Instruments", "monitoring", "marketdata.instrument"),
                    _item("Index members", "hub", "marketdata.indexmember"),
                    _item("Calendar", "calendar_month", "marketdata.calendarday"),
                    _item("Closing prices", "event_available", "marketdata.closingprice"),
                    _item("Last prices", "sell", "marketdata.lastprice"),
                    _item("Candles", "candlestick_chart", "marketdata.candle"),
                    _item("Option chains", "account_tree", "marketdata.optionchainsnapshot"),
                    _item("Broker token", "vpn_key", "marketdata.brokertoken"),
                    _item("Live source", "gavel", "marketdata.liveacknowledgement"),
                    _item("News sources", "rss_feed", "marketdata.newssource"),
                    _item("Headlines", "newspaper", "marketdata.newsitem"),
                    _item("Watchlists", "visibility", "marketdata.watchlist"),
                ],
            },
            {
                "title": "People",
                "separator": True,
                "items": [
                    _item("Users", "person", "core.user"),
                    _item("Groups", "groups", "auth.group"),
                    _item("API tokens", "key", "core.apitoken"),
                    _item("Failed sign-ins", "lock", "axes.accessattempt"),
                    _item("Sign-ins", "login", "axes.accesslog"),
                ],
            },
            {
                "title": "Records",
                "separator": True,
                "items": [
                    _item("Audit log", "policy", "core.auditentry"),
                    _item("Jobs", "schedule", "core.jobrun"),
                    _item("Outbox", "outbox", "core.outboxevent"),
                    _item("Event numbers", "tag", "core.userstream"),
                    _item("Webhooks", "webhook", "core.webhook"),
                    _item("Webhook deliveries", "outgoing_mail", "core.webhookdelivery"),
                    _item("Idempotency", "repeat", "core.idempotencyrecord"),
                    _item("Engine fence", "fence", "trading.enginefence"),
                ],
            },
        ],
    },
}
