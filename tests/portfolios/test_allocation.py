"""Where the equity lies, and the tabs of the portfolio page."""

from decimal import Decimal

import pytest
from django.test import Client

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import allocation, views
from tests.support.own_redis import own_redis_keys
from tests.trading.conftest import acme, alice, floor
from tests.trading.floor import Floor, portfolio, share

__all__ = ["acme", "alice", "floor", "own_redis_keys"]

D = Decimal


def test_parts_are_of_what_is_held_and_cash_and_make_a_hundred(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    zeta = share("ZETA", sector="")
    floor.tick(zeta, 50.0, previous_close=50.0)
    floor.buy(alice, acme, 100)
    floor.sell(alice, zeta, 40, product="MIS")
    found = allocation.of(portfolio=portfolio(alice), at=floor.now)
    assert [part.name for part in found.shares] == ["CASH", "ACME", "ZETA"]
    assert [part.name for part in found.sectors] == ["CASH", "Energy", ""]
    assert found.largest is not None
    assert found.largest.symbol == "ACME"
    for parts in (found.shares, found.sectors):
        assert abs(sum(part.percent for part in parts) - 100) < D("0.05")


def test_an_empty_portfolio_is_all_cash(floor: Floor, alice: User) -> None:
    found = allocation.of(portfolio=portfolio(alice), at=floor.now)
    assert [(part.name, part.percent) for part in found.shares] == [("CASH", 100)]
    assert found.largest is None


def test_a_drawdown_is_zero_at_each_new_height() -> None:
    curve = {"lines": [{"points": [("a", 0.0), ("b", 10.0), ("c", 4.5), ("d", 12.0)]}]}
    [line] = views.drawdown_lines(curve)["lines"]
    assert line["points"] == [("a", 0.0), ("b", 0.0), ("c", -5.0), ("d", 0.0)]


@pytest.mark.parametrize(
    ("show", "said"),
    [("", "ACME"), ("holdings", "ACME"), ("closed", "ZETA"), ("allocation", "Energy")],
)
def test_each_tab_shows_its_part(
    floor: Floor, alice: User, acme: Instrument, monkeypatch: pytest.MonkeyPatch,
    show: str, said: str,
) -> None:  # fmt: skip
    zeta = share("ZETA")
    floor.tick(zeta, 50.0, previous_close=50.0)
    floor.buy(alice, acme, 100)
    floor.buy(alice, zeta, 10, product="MIS")
    floor.sell(alice, zeta, 10, product="MIS")
    monkeypatch.setattr(clock, "now", lambda: floor.now)
    client = Client()
    client.force_login(alice)
    for path in ("/portfolio/", "/portfolio/positions/"):
        html = client.get(path, {"show": show} if show else {}).content.decode()
        assert said in html
    assert ("ZETA" in html) == (show in ("", "closed"))
