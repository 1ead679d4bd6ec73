"""The versioned API and its documentation."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from mockmarket.asyncapi import asyncapi_view
from mockmarket.core.api import accounts, converters, server, webhooks  # noqa: F401 (registers the converters)
from mockmarket.core.api.views import UnknownAddress

version_1: list[URLPattern | URLResolver] = [
    path("auth/token/", accounts.TokenPairView.as_view()),
    path("auth/token/refresh/", accounts.TokenRefreshView.as_view()),
    path("ws-ticket/", accounts.WsTicketView.as_view()),
    path("server/status/", server.ServerStatusView.as_view()),
    path("me/", accounts.MeView.as_view()),
    path("tokens/", accounts.ApiTokensView.as_view()),
    path("tokens/<small_id:token_id>/", accounts.ApiTokenView.as_view()),
    path("webhooks/", webhooks.WebhooksView.as_view()),
    path("webhooks/<small_id:webhook_id>/", webhooks.WebhookView.as_view()),
    path("webhooks/<small_id:webhook_id>/deliveries/", webhooks.DeliveriesView.as_view()),
    path("", include("marketdata.api.urls")),
    path("", include("portfolios.api.urls")),
    path("", include("trading.api.urls")),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/", include(version_1)),
    path("schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path("asyncapi.json", asyncapi_view, name="asyncapi"),
    path("docs/", SpectacularSwaggerSplitView.as_view(url_name="api-schema"), name="api-docs"),
    re_path(r"^", UnknownAddress.as_view()),
]
