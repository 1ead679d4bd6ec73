"""The market's pages."""

from django.urls import path

from marketdata.views import lists, news, research

urlpatterns = [
    path("market/", lists.market, name="market"),
    path("market/rows/", lists.market_rows, name="market_rows"),
    path("market/search/", lists.search, name="search"),
    path("market/movers/box/", lists.movers_box, name="movers_box"),
    path("market/breadth/box/", lists.breadth_box, name="breadth_box"),
    path("movers/", research.movers, name="movers"),
    path("sectors/", research.sectors, name="sectors"),
    path("sectors/<str:name>/", research.sector, name="sector"),
    path("compare/", research.compare, name="compare"),
    path("stocks/<str:symbol>/analysis/", research.analysis, name="analysis"),
    path("recommendations/", research.recommendations, name="recommendations"),
    path("news/", news.news, name="news"),
    path("sentiment/", news.sentiment, name="sentiment"),
    path("watchlists/", lists.watchlists_page, name="watchlists"),
    path("watchlists/panel/", lists.watch_panel, name="watch_panel"),
    path("watchlists/add/", lists.watchlist_add, name="watchlist_add"),
    path("watchlists/<int:watchlist_id>/", lists.watchlist_change, name="watchlist_change"),
    path("watchlists/<int:watchlist_id>/order/", lists.watchlist_order, name="watchlist_order"),
    path("watchlists/<int:watchlist_id>/remove/", lists.watchlist_remove, name="watchlist_remove"),
]
