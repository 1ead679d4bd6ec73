"""Contests, portfolios and their books over REST."""
