"""What happens to futures and options without a trade: daily settlement, expiry, margin."""
