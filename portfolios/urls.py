"""Pages of portfolios and contests."""

from django.urls import path

from portfolios import views, views_journal, views_results

urlpatterns = [
    path("portfolio/", views.portfolio, name="portfolio"),
    path("portfolio/positions/", views.portfolio_positions, name="portfolio_positions"),
    path("portfolio/journal/", views_journal.journal, name="journal"),
    path("portfolio/journal/<int:note_id>/", views_journal.journal_note, name="journal_note"),
    path(
        "portfolio/journal/<int:note_id>/remove/",
        views_journal.journal_remove,
        name="journal_remove",
    ),
    path("funds/", views.funds, name="funds"),
    path("announcements/", views.announcements, name="announcements"),
    path("contests/", views.contests, name="contests"),
    path("contests/join/", views.join_contest, name="join_contest"),
    path("contests/switch/", views.switch_contest, name="switch_contest"),
    path("contests/<slug:slug>/leave/", views.leave_contest, name="leave_contest"),
    path("contests/<slug:slug>/leaderboard/", views.leaderboard, name="leaderboard"),
    path(
        "contests/<slug:slug>/certificate/", views_results.own_certificate, name="own_certificate"
    ),
    path("certificates/", views_results.certificate_check, name="certificate_check"),
    path("certificates/<str:code>/", views_results.certificate, name="certificate"),
]
