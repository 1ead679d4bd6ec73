"""The screen lists by its stated rules, with nothing from the future."""

import numpy as np
import pytest

from marketdata import screening


def walk(days: int, shares: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    market = np.cumprod(1 + rng.normal(0.0003, 0.008, days)) * 25_000
    closes = np.cumprod(1 + rng.normal(0.0005, 0.015, (days, shares)), axis=0) * 100
    return closes, market


def test_too_little_history_lists_nothing() -> None:
    closes, market = walk(120, 5)
    picks, record = screening.screen(closes, market)
    assert picks == []
    assert record.hit_rate is None


def test_every_pick_keeps_the_rules() -> None:
    closes, market = walk(400, 80)
    picks, record = screening.screen(closes, market)
    assert picks
    for pick in picks:
        own = closes[:, pick.column]
        lead = (own[-1] / own[-64] - market[-1] / market[-64]) * 100
        assert pick.lead == pytest.approx(lead)
        assert lead > 0
        assert own[-50:].mean() > own[-200:].mean()
        assert own[-1] > own[-50:].mean()
        assert 45 <= pick.rsi <= 70
    assert [pick.lead for pick in picks] == sorted((p.lead for p in picks), reverse=True)
    assert 0 <= record.hits <= record.listings


def test_the_list_of_a_day_does_not_know_the_days_after() -> None:
    closes, market = walk(400, 60)
    then, _ = screening.screen(closes[:350], market[:350])
    later = closes.copy()
    later[350:] *= np.random.default_rng(9).uniform(0.5, 2, later[350:].shape)
    again, _ = screening.screen(later[:350], market[:350])
    assert then == again


def test_a_coin_has_a_record_near_one_half() -> None:
    rng = np.random.default_rng(5)
    market = np.cumprod(1 + rng.normal(0, 0.01, 700))
    closes = np.cumprod(1 + rng.normal(0, 0.01, (700, 120)), axis=0)
    _, record = screening.screen(closes, market)
    assert record.hit_rate is not None
    assert 30 < record.hit_rate < 70


def test_unknown_prices_are_never_listed() -> None:
    closes, market = walk(400, 10)
    closes[:, 3] = np.nan
    picks, _ = screening.screen(closes, market)
    assert 3 not in {pick.column for pick in picks}
