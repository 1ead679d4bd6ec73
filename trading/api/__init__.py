"""Orders and trades over REST."""
