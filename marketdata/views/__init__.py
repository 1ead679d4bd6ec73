"""Pages of the market: lists and watchlists, research, news and mood."""
