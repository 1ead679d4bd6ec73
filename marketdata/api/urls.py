"""Addresses of market data under /api/v1/."""

from django.urls import URLPattern, path

from marketdata.api import (
    candles,
    instruments,
    lists,
    news,
    options,
    quotes,
    research,
    watchlists,
)

urlpatterns: list[URLPattern] = [
    path("market/status/", quotes.MarketStatusView.as_view()),
    path("instruments/", instruments.InstrumentsView.as_view()),
    path("instruments/<instrument_key:key>/", instruments.InstrumentView.as_view()),
    path("instruments/<instrument_key:key>/depth/", quotes.DepthView.as_view()),
    path("instruments/<instrument_key:key>/candles/", candles.CandlesView.as_view()),
    path("instruments/<instrument_key:key>/analysis/", research.AnalysisView.as_view()),
    path("compare/", research.CompareView.as_view()),
    path("screen/", research.ScreenView.as_view()),
    path("quotes/", quotes.QuotesView.as_view()),
    path("indices/", lists.IndicesView.as_view()),
    path("indices/<instrument_key:key>/members/", research.IndexMembersView.as_view()),
    path("movers/", lists.MoversView.as_view()),
    path("breadth/", lists.BreadthView.as_view()),
    path("sectors/", lists.SectorsView.as_view()),
    path("sentiment/", news.SentimentView.as_view()),
    path("news/", news.NewsView.as_view()),
    path("watchlists/", watchlists.WatchlistsView.as_view()),
    path("watchlists/<small_id:watchlist_id>/", watchlists.WatchlistView.as_view()),
    path("watchlists/<small_id:watchlist_id>/items/", watchlists.ItemsView.as_view()),
    path(
        "watchlists/<small_id:watchlist_id>/items/<instrument_key:key>/",
        watchlists.ItemView.as_view(),
    ),
    path("options/underlyings/", options.UnderlyingsView.as_view()),
    path("options/<instrument_key:key>/", options.ExpiriesView.as_view()),
    path("options/<instrument_key:key>/chain/", options.ChainView.as_view()),
    path("options/<instrument_key:key>/analytics/", options.AnalysisView.as_view()),
]
