"""Splits, bonus issues and dividends: announced by staff, booked on the ex-date, reversible."""
