"""Pages of trading."""

from django.urls import path

from trading.views import (
    alerts,
    desk,
    learn,
    metrics,
    operations,
    options,
    order_edit,
    orders,
    performance,
    practice,
    ticket,
)

urlpatterns = [
    path("", desk.dashboard, name="dashboard"),
    path("dashboard/positions/", desk.positions_box, name="positions_box"),
    path("stocks/<str:symbol>/", desk.stock, name="stock"),
    path("stocks/<str:symbol>/own/", desk.stock_own, name="stock_own"),
    path("options/", options.options_home, name="options_home"),
    path("options/<str:symbol>/", options.options, name="options"),
    path("options/<str:symbol>/margin/", options.strategy_margin, name="strategy_margin"),
    path("alerts/", alerts.alerts, name="alerts"),
    path("alerts/events/", alerts.alerts_events, name="alert_events"),
    path("alerts/<int:alert_id>/remove/", alerts.alert_remove, name="alert_remove"),
    path("learn/", learn.learn, name="learn"),
    path("metrics", metrics.metrics, name="metrics"),
    path("operations/", operations.operations, name="operations"),
    path("contests/practice/afresh/", practice.practice_reset, name="practice_reset"),
    path("portfolio/performance/", performance.performance, name="performance"),
    path("orders/", orders.orders, name="orders"),
    path("orders/ticket/", ticket.ticket, name="order_ticket"),
    path("orders/estimate/", ticket.estimate, name="order_estimate"),
    path("orders/<uuid:order_id>/", orders.order_detail, name="order_detail"),
    path("orders/<uuid:order_id>/edit/", order_edit.order_edit, name="order_edit"),
    path("orders/<uuid:order_id>/row/", order_edit.order_row, name="order_row"),
    path("orders/triggers/<uuid:gtt_id>/cancel/", orders.trigger_cancel, name="trigger_cancel"),
    path("orders/<uuid:order_id>/cancel/", orders.cancel, name="order_cancel"),
]
