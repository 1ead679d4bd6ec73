"""Upstox: its feed, its REST API, its tokens."""
