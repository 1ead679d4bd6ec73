"""Fills on a recorded session: the page says what the command finds; each line has its quote."""

from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command

from marketdata.exchange import recordings
from marketdata.models import Instrument
from portfolios import contests
from trading import facts, fidelity

PAGE = Path(settings.BASE_DIR) / "docs" / "students" / "fidelity.md"
SMALL = Path(__file__).parents[1] / "marketdata" / "fixtures" / "session.json"


def test_the_page_is_what_the_command_finds(shared_data: Path) -> None:
    files = sorted((shared_data / "recorded").glob("NSE_EQ_*.json.gz"))
    out = StringIO()
    call_command("show_fills", *map(str, files), stdout=out)
    assert out.getvalue() == PAGE.read_text()


@pytest.fixture(scope="module")
def small() -> tuple[list[fidelity.Row], list[fidelity.Outcome]]:
    found = recordings.load(SMALL)
    keys = sorted(found.overview().firsts)
    shares = {
        key: Instrument(
            pk=number, key=key, symbol=key, segment=key.split("|")[0], lot_size=1,
            instrument_type="EQ", tick_size=Decimal("0.05"),
        )
        for number, key in enumerate(keys, 1)
    }  # fmt: skip
    settings_ = facts.settings_of(contests.Rules())
    plans = [
        fidelity.Plan(plan.name, number * 0.01, plan.buy, plan.lots, plan.kind, plan.away, plan.ioc)
        for number, plan in enumerate(fidelity.PLANS)
    ]
    return fidelity.run(found, instruments=shares, settings=settings_, plans=plans)


def test_every_fill_is_justified_by_its_quote(
    small: tuple[list[fidelity.Row], list[fidelity.Outcome]],
) -> None:
    rows, outcomes = small
    assert len(rows) >= 4
    for row in rows:
        look, market = row.decided.look, row.decided.look.market
        assert look.now_ms - market.received_ms <= look.settings.quote_age_ms_max
        assert row.at >= row.placed_at
        levels = market.asks if row.plan.buy else market.bids
        if any(part.startswith("take") for part in row.decided.decision.path):
            shown = {level.price: level.quantity for level in levels}
            assert row.quantity <= shown[row.price]
        else:
            assert row.price == row.limit
        if row.limit is not None:
            assert row.price <= row.limit if row.plan.buy else row.price >= row.limit
        assert look.decide() == row.decided.decision
    for outcome in outcomes:
        filled = sum(
            row.quantity for row in rows if (row.plan, row.symbol) == (outcome.plan, outcome.symbol)
        )
        assert filled == outcome.filled <= outcome.asked


def test_the_set_never_takes_a_level_twice(
    small: tuple[list[fidelity.Row], list[fidelity.Outcome]],
) -> None:
    """One student's fills of one quote take no more of a level than it shows."""
    rows, _ = small
    taken: dict[tuple[str, int, bool, Decimal], int] = {}
    shown: dict[tuple[str, int, bool, Decimal], int] = {}
    for row in rows:
        market = row.decided.look.market
        for level in market.asks if row.plan.buy else market.bids:
            if level.price == row.price:
                key = (row.symbol, market.received_ms, row.plan.buy, row.price)
                taken[key] = taken.get(key, 0) + row.quantity
                shown[key] = level.quantity
    assert taken
    assert all(taken[key] <= shown[key] for key in taken)
