"""The site map. Each app owns its pages; the API is mounted once under /api/v1/."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("mockmarket.core.urls")),
    path("", include("marketdata.urls")),
    path("", include("portfolios.urls")),
    path("", include("trading.urls")),
    path("api/", include("mockmarket.api_urls")),
]

handler500 = "mockmarket.core.views.server_error"
