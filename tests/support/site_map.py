"""Every page of the desk by the name of its URL, so that no walk forgets one."""

# With prices of the page's own, which must move. The student has traded and set an alert.
LIVE = {
    "dashboard": ["/"],
    "market": ["/market/"],
    "movers": ["/movers/"],
    "sectors": ["/sectors/"],
    "sector": ["/sectors/Information Technology/"],
    "compare": ["/compare/"],
    "stock": ["/stocks/RELIANCE/", "/stocks/NIFTY/"],
    "analysis": ["/stocks/TCS/analysis/"],
    "options": ["/options/NIFTY/"],
    "watchlists": ["/watchlists/"],
    "alerts": ["/alerts/"],
    "portfolio": ["/portfolio/", "/portfolio/?show=holdings"],
    "orders": ["/orders/", "/orders/?show=triggers", "/orders/?show=all"],
    "leaderboard": ["/contests/practice/leaderboard/"],
    "sentiment": ["/sentiment/"],
}
# Pages without a price, or with one only at times (a screen that is being drawn up).
QUIET = {
    "portfolio": ["/portfolio/?show=closed", "/portfolio/?show=allocation"],
    "orders": ["/orders/?show=executed"],
    "performance": ["/portfolio/performance/"],
    "journal": ["/portfolio/journal/"],
    "recommendations": ["/recommendations/"],
    "news": ["/news/"],
    "funds": ["/funds/"],
    "contests": ["/contests/"],
    "announcements": ["/announcements/"],
    "learn": ["/learn/"],
    "profile": ["/profile/"],
    "certificate_check": ["/certificates/"],
    "": ["/nowhere/"],
}
# Parts of pages, answers to forms, addresses for machines, and pages for staff.
NO_PAGES = {
    "login", "logout", "preferences", "password", "token_create", "token_revoke", "words",
    "set_language", "design", "healthz", "readyz", "metrics", "operations",
    "market_rows", "movers_box", "breadth_box", "search", "watch_panel", "watchlist_add",
    "watchlist_remove", "watchlist_order", "watchlist_change",
    "positions_box", "stock_own", "options_home", "strategy_margin",
    "alert_events", "alert_remove", "order_ticket", "order_estimate", "order_detail",
    "order_edit", "order_row", "order_cancel", "trigger_cancel", "portfolio_positions",
    "join_contest", "switch_contest", "journal_note", "journal_remove", "own_certificate",
    "certificate", "leave_contest", "practice_reset",
}  # fmt: skip


def paths(kinds: dict[str, list[str]]) -> list[str]:
    """The addresses of some pages, in order."""
    return [path for found in kinds.values() for path in found]
