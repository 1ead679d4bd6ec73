"""A clock that is set is noticed, one that is slewed is not."""

import pytest

from marketdata import pacing


def test_steps_are_told_once_and_drift_never(monkeypatch: pytest.MonkeyPatch) -> None:
    wall, steady = 1_800_000_000.0, 50.0
    monkeypatch.setattr(pacing.clock, "now_ms", lambda: int(wall * 1000))
    monkeypatch.setattr(pacing.clock, "monotonic", lambda: steady)
    watch = pacing.ClockWatch()
    told = []
    for step in (0.0, 0.0005, -0.0005, 3_600.0, 0.0, -5.0, 0.0, 0.4, 0.4, 0.4):
        wall, steady = wall + 1 + step, steady + 1
        told.append(round(watch.set_by()))
    assert told == [0, 0, 0, 3_600, 0, -5, 0, 0, 0, 0]
