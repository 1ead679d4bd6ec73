"""Addresses of orders, trades and what follows from them under /api/v1/."""

from django.urls import URLPattern, path

from trading.api import (
    alerts,
    baskets,
    gtt,
    notes,
    operations,
    orders,
    performance,
    previews,
    strategies,
    trades,
)

urlpatterns: list[URLPattern] = [
    path("orders/", orders.OrdersView.as_view()),
    path("orders/preview/", previews.PreviewView.as_view()),
    path("orders/<uuid:order_id>/", orders.OrderView.as_view()),
    path("orders/<uuid:order_id>/trades/", trades.OrderTradesView.as_view()),
    path("baskets/", baskets.BasketsView.as_view()),
    path("baskets/preview/", baskets.BasketPreviewView.as_view()),
    path("gtt/", gtt.GttsView.as_view()),
    path("gtt/<uuid:gtt_id>/", gtt.GttView.as_view()),
    path("brackets/", gtt.BracketsView.as_view()),
    path("options/<instrument_key:key>/margin/", strategies.StrategyMarginView.as_view()),
    path("trades/", trades.TradesView.as_view()),
    path("trades/<uuid:trade_id>/", trades.TradeView.as_view()),
    path("contract-notes/", notes.NotesView.as_view()),
    path("contract-notes/<day:session_date>/", notes.NoteView.as_view()),
    path("contract-notes/<day:session_date>/csv/", notes.NoteCsvView.as_view()),
    path(
        "contract-notes/<day:session_date>/pdf/",
        notes.NotePdfView.as_view(),
        name="contract_note_pdf",
    ),
    path("performance/", performance.PerformanceView.as_view()),
    path("performance/curve/", performance.PerformanceCurveView.as_view()),
    path("performance/trips/", performance.TripsView.as_view()),
    path("practice/reset/", performance.PracticeResetView.as_view()),
    path("alerts/", alerts.AlertsView.as_view()),
    path("alerts/events/", alerts.AlertEventsView.as_view()),
    path("alerts/<small_id:alert_id>/", alerts.AlertView.as_view()),
    path("operations/", operations.OperationsView.as_view()),
]
