"""The gamma-blast figure on simulated days."""

from datetime import date

from marketdata.exchange import trial
from marketdata.options import blast


def test_a_trial_on_simulated_days_counts_every_step():
    found = trial.run(first=date(2026, 1, 5), days=1)
    record = blast.Record(**found["record"])
    # 375 minutes, a forecast each 5 while 30 are left
    assert record.forecasts == 69
    assert 0 < record.base_rate < 1
    assert 0 < record.brier < 1
