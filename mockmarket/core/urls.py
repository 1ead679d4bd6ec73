"""Pages and probes that belong to no app."""

from django.urls import path
from django.views.i18n import set_language

from mockmarket.core import probes, views
from mockmarket.core.words import words

urlpatterns = [
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", views.log_out, name="logout"),
    path("profile/", views.profile, name="profile"),
    path("profile/preferences/", views.preferences, name="preferences"),
    path("profile/password/", views.password, name="password"),
    path("profile/tokens/", views.token_create, name="token_create"),
    path("profile/tokens/<int:token_id>/revoke/", views.token_revoke, name="token_revoke"),
    path("words/<str:language>/<str:stamp>.js", words, name="words"),
    path("language/", set_language, name="set_language"),
    path("design/", views.design, name="design"),
    path("healthz", probes.healthz, name="healthz"),
    path("readyz", probes.readyz, name="readyz"),
]
