"""What every REST endpoint shares: errors, sign-in, throttles, idempotency, pages, schema."""
