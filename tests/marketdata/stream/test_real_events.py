"""What the apps really tell a user: as documented, and enough to keep a page true (T19)."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync

from mockmarket.core import bus, clock
from mockmarket.core.models import User
from portfolios import announcements
from portfolios import services as contests
from portfolios.engine import ValuationDesk
from portfolios.models import Contest
from tests.marketdata.stream.test_asyncapi import check
from tests.portfolios.test_engine import FakeEngine
from tests.support import stream
from tests.support.api import client_of, share, student
from tests.support.stream import Client, WebServer, join
from tests.trading.floor import START, Floor
from trading import alerting, services

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("web", ["uvicorn"], indirect=True),  # payloads know no server
]
web = stream.web
Row = dict[str, Any]


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lose a share of what is sent on the bus."""
    real, chance = bus.send, random.Random(11)

    def start(lost: float) -> None:
        monkeypatch.setattr(
            bus, "send", lambda *args: True if chance.random() < lost else real(*args)
        )

    return start


def trading_day(floor: Floor, alice: User, teacher: User) -> None:
    """Orders filled, resting and cancelled, an alert that fires, a message, a frozen contest."""
    acme = share("ACME")
    floor.tick(acme, 100.0, previous_close=100.0)
    watch = alerting.create(
        user=alice, instrument=acme, kind="PRICE_ABOVE", threshold=Decimal(105), note="",
        at=floor.now,
    )  # fmt: skip
    for number in range(6):
        floor.buy(alice, acme, 5 + number)
        resting = floor.buy(alice, acme, 10, order_type="LIMIT", price=90 + number)
        if number % 2:
            services.cancel_order(user=alice, order_id=resting.pk, at=floor.now)
        floor.tick(acme, 100.0 + number)
    fired = alerting.Fired(alert_id=watch.pk, at=floor.now, price=105.0)
    assert alerting.keep(fired=[fired], rearmed=[], at=floor.now) == 1
    announcements.announce(author=teacher, title="Lunch", body="At one.", at=floor.now)
    where = Contest.objects.get(portfolios__user=alice)
    contests.change_state(
        contest=where, state="FROZEN", actor=teacher, reason="a pause", at=floor.now
    )


def listed(user: User, path: str) -> dict[str, Row]:
    """Every row of a REST list, by id."""
    found: dict[str, Row] = {}
    client, at = client_of(user), f"/api/v1/{path}/"
    while at:
        answer = client.get(at).json()
        found |= {str(row["id"]): row for row in answer["results"]}
        at = answer["next"]
    return found


def same(told: object, shown: object) -> bool:
    """Whether a number of the stream is the string of REST, or both the same thing."""
    if isinstance(told, int | float) and isinstance(shown, str):
        return Decimal(str(told)) == Decimal(shown)
    return told == shown


@pytest.mark.parametrize("lost", [0.0, 0.1])
def test_events_make_what_rest_shows(
    web: WebServer, losing: Callable[[float], None], lost: float
) -> None:
    floor, alice, teacher = Floor(), student("alice", at=START), student("teacher", at=START)
    pages: dict[str, dict[str, Row]] = {"order_update": {}, "trade": {}, "alert": {}}
    with join(web, alice) as client:
        losing(lost)
        trading_day(floor, alice, teacher)
        _, last = bus.position(alice.pk)
        seen = numbered(client, last)
    assert [frame["seq"] for frame in seen] == list(range(1, last + 1))
    assert {check(frame) for frame in seen} == {"OrderUpdate", "Trade", "Alert", "Announcement"}
    for frame in seen:
        id_ = frame["data"].get("id") or frame["data"]["alert_id"]
        pages.setdefault(frame["type"], {})[str(id_)] = frame["data"]
    for kind, path in (("order_update", "orders"), ("trade", "trades")):
        shown = listed(alice, path)
        assert set(shown) == set(pages[kind])
        for id_, row in pages[kind].items():
            fields = (set(row) & set(shown[id_])) - {"updated_at", "filled_at", "contest"}
            assert len(fields) > 5
            wrong = {name for name in fields if not same(row[name], shown[id_][name])}
            assert not wrong, f"{kind}: {wrong} of {row} and {shown[id_]}"


def numbered(client: Client, last: int) -> list[Row]:
    """The numbered events up to `last`."""
    seen: list[Row] = []
    while not seen or seen[-1]["seq"] < last:
        frame = client.next(30)
        if "seq" in frame and not frame.get("live") and frame["type"] != "welcome":
            seen.append(frame)
    return seen


def test_live_events_are_as_documented(web: WebServer) -> None:
    floor, alice, teacher = Floor(), student("alice", at=START), student("teacher", at=START)
    engine = FakeEngine()
    engine.present = {alice.pk}
    with join(web, alice) as client:
        trading_day(floor, alice, teacher)
        engine.price("NSE_EQ|INEACME_____", 106.0, close=100.0, at_ms=clock.to_ms(floor.now))

        async def value() -> None:
            desk = ValuationDesk()
            await desk.start(engine)
            await desk.every_second(engine.board, clock.to_ms(floor.now))
            await desk.stop()

        async_to_sync(value)()
        update = client.wait("portfolio_update")
        assert update["data"]["positions"]
        client.wait("rank_update")
        live = [frame for frame in client.seen if frame.get("live")]
    assert {check(frame) for frame in live} == {"PortfolioUpdate", "RankUpdate", "ContestUpdate"}
