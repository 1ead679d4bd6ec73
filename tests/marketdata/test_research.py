"""The screen's history on a new server leaves the quotes their share of Upstox's calls."""

from datetime import UTC, datetime

import pytest

from marketdata import history, research, selectors, services
from marketdata.models import Instrument
from marketdata.upstox.limiter import Limiter

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 20, 5, tzinfo=UTC)


def test_filling_stops_at_its_share_of_the_calls_and_goes_on_later(monkeypatch):
    services.seed_universe()
    selectors.forget()
    used, asked = 1_150, []

    def candles(*, instrument, **_):
        nonlocal used
        used += 1
        asked.append(instrument.key)

    monkeypatch.setattr(history, "candles", candles)
    monkeypatch.setattr(Limiter, "used", lambda self: {1: 0, 60: 0, 1_800: used})
    left = research.fill_history(at=AT)
    assert len(asked) == 60  # it looks each twenty calls
    assert left == len(selectors.universe()) - 60
    assert research.refresh_screen(at=AT) is False  # no screen of a part
    used = 0
    assert research.fill_history(at=AT) == 0
    assert set(asked) == set(selectors.universe())
    selectors.forget()


def test_without_the_index_there_is_no_screen_and_no_error(monkeypatch):
    services.seed_universe()
    Instrument.objects.filter(key=research.NIFTY).update(active=False, in_universe=False)
    selectors.forget()
    monkeypatch.setattr(research, "fill_history", lambda **_: 0)
    assert research.NIFTY not in selectors.universe()
    assert research.refresh_screen(at=AT) is False
    selectors.forget()
