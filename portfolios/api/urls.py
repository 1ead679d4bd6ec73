"""Addresses of contests and portfolios under /api/v1/."""

from django.urls import URLPattern, path

from portfolios.api import contests, journal, portfolio, results

urlpatterns: list[URLPattern] = [
    path("portfolio/", portfolio.SummaryView.as_view()),
    path("portfolio/equity/", portfolio.EquityCurveView.as_view()),
    path("positions/", portfolio.PositionsView.as_view()),
    path("holdings/", portfolio.HoldingsView.as_view()),
    path("ledger/", portfolio.LedgerView.as_view()),
    path("contests/", contests.ContestsView.as_view()),
    path("contests/join/", contests.JoinView.as_view()),
    path("contests/<slug:contest>/", contests.ContestView.as_view()),
    path("contests/<slug:contest>/leave/", contests.LeaveView.as_view()),
    path("contests/<slug:contest>/leaderboard/", contests.LeaderboardView.as_view()),
    path("contests/<slug:contest>/results/", results.ResultsView.as_view()),
    path("contests/<slug:contest>/result/", results.OwnResultView.as_view()),
    path("certificates/<slug:code>/", results.CertificateView.as_view()),
    path("announcements/", results.AnnouncementsView.as_view()),
    path("journal/", journal.JournalView.as_view()),
    path("journal/tags/", journal.TagsView.as_view()),
    path("journal/<small_id:note_id>/", journal.NoteView.as_view()),
]
