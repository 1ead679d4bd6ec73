"""The desk on the engine's loop: it follows the database and tells those who are there."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgpack
import msgspec
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings

from marketdata.board import Board
from marketdata.quotes import Tick
from mockmarket.core import bus, clock, redis
from portfolios import services, snapshots, standings
from portfolios.engine import ValuationDesk
from portfolios.models import Portfolio, PortfolioSnapshot
from tests.portfolios.support import AT, contest, hold, instrument, user

pytestmark = pytest.mark.django_db(transaction=True)

NOW_MS = clock.to_ms(AT)


class FakeEngine:
    """A board and the users that are connected."""

    def __init__(self) -> None:
        self.board = Board(epoch=uuid.uuid4().hex)
        self.present: set[int] = set()

    def users(self) -> set[int]:
        return self.present

    def price(self, key: str, last: float, *, close: float, at_ms: int = NOW_MS) -> None:
        tick = Tick(
            instrument_key=key,
            last_price=last,
            previous_close=close,
            last_trade_ms=at_ms,
            exchange_ms=at_ms,
            received_ms=at_ms,
            source="stream",
        )
        self.board.merge([tick])


class Ears:
    """What the web processes would hear for one user."""

    def __init__(self) -> None:
        self._pubsub = redis.client().pubsub()
        self._pubsub.subscribe(f"{django_settings.REDIS_PREFIX}__group__{bus.STREAM_GROUP}")
        assert self._pubsub.get_message(timeout=5) is not None

    def heard(self, user_id: int, kind: str) -> list[dict[str, Any]]:
        found = []
        while (raw := self._pubsub.get_message(timeout=0.2)) is not None:
            message = msgpack.unpackb(raw["data"])
            if message["type"] == "bus.live":
                found += [
                    msgspec.json.decode(text)
                    for to, type_, text in message["items"]
                    if to == user_id and type_ == kind
                ]
        return found

    def close(self) -> None:
        self._pubsub.close()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def ears() -> Any:
    made = Ears()
    yield made
    made.close()


async def _eventually(check: Callable[[], Awaitable[bool]], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not await check():  # noqa: ASYNC110 - the far end is Redis, not an event
            await asyncio.sleep(0.02)


def _alice() -> Portfolio:
    return services.open_portfolio(user=user("alice"), contest=contest(), at=AT)


async def _started(engine: FakeEngine) -> ValuationDesk:
    desk = ValuationDesk()
    await desk.start(engine)
    return desk


class TestPass:
    async def test_tells_the_owner_equity_and_rank(self, engine: FakeEngine, ears: Ears) -> None:
        own = await sync_to_async(_alice)()
        share = await sync_to_async(instrument)("ACME")
        await sync_to_async(hold)(own, share, 100, "10000.00")
        engine.price(share.key, 110.0, close=105.0)
        engine.present = {own.user_id}
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        [update] = await asyncio.to_thread(ears.heard, own.user_id, "portfolio_update")
        assert (update["equity"], update["day_pnl"], update["rank"]) == (1001000.0, 500.0, 1)
        [position] = update["positions"]
        assert (position["last_price"], position["unrealised_pnl"]) == (110.0, 1000.0)
        assert share.key in desk.extra_interest()
        await desk.stop()

    async def test_sends_the_head_of_the_board(self, engine: FakeEngine, ears: Ears) -> None:
        own = await sync_to_async(_alice)()
        engine.present = {own.user_id}
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        [update] = await asyncio.to_thread(ears.heard, own.user_id, "rank_update")
        assert [row["portfolio_id"] for row in update["top"]] == [own.id]
        await desk.stop()

    async def test_says_nothing_to_who_is_away_and_nothing_twice(
        self, engine: FakeEngine, ears: Ears
    ) -> None:
        own = await sync_to_async(_alice)()
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        assert await asyncio.to_thread(ears.heard, own.user_id, "portfolio_update") == []
        engine.present = {own.user_id}
        for second in range(1, 4):
            await desk.every_second(engine.board, NOW_MS + second * 1000)
        assert len(await asyncio.to_thread(ears.heard, own.user_id, "portfolio_update")) == 1
        await desk.stop()

    async def test_leaves_the_same_board_that_a_recomputation_gives(
        self, engine: FakeEngine
    ) -> None:
        own = await sync_to_async(_alice)()
        share = await sync_to_async(instrument)("ACME", last="110", close="105")
        await sync_to_async(hold)(own, share, 100, "10000.00")
        engine.price(share.key, 110.0, close=105.0)
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        where = await sync_to_async(lambda: own.contest)()
        kept = await sync_to_async(snapshots.newest)(contest_id=where.id, at=AT)
        again = await sync_to_async(standings.recompute)(contest=where, at=AT)
        assert kept is not None
        assert kept.equity.tolist() == again.equity.tolist()
        assert kept.rank.tolist() == again.rank.tolist()
        await desk.stop()


class TestRefresh:
    async def test_brings_a_fill_to_its_owner_before_the_next_second(
        self, engine: FakeEngine, ears: Ears
    ) -> None:
        own = await sync_to_async(_alice)()
        share = await sync_to_async(instrument)("ACME")
        engine.price(share.key, 110.0, close=105.0)
        engine.present = {own.user_id}
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        await asyncio.to_thread(ears.heard, own.user_id, "portfolio_update")
        await sync_to_async(hold)(own, share, 100, "10000.00")
        await asyncio.to_thread(desk.refresh, [own.id])

        async def told() -> bool:
            heard = await asyncio.to_thread(ears.heard, own.user_id, "portfolio_update")
            return any(update["equity"] == 1001000.0 for update in heard)

        await _eventually(told)
        await desk.stop()

    async def test_takes_no_older_row_over_a_newer(self, engine: FakeEngine) -> None:
        own = await sync_to_async(_alice)()
        desk = await _started(engine)
        held = desk.book.rows[own.id]
        desk._apply([replace(held, version=held.version - 1, cash=Decimal(1))])
        assert desk.book.rows[own.id] == held
        await desk.stop()


class TestReconcile:
    async def test_follows_members_and_states_without_being_told(self, engine: FakeEngine) -> None:
        own = await sync_to_async(_alice)()
        desk = await _started(engine)
        where = await sync_to_async(lambda: own.contest)()
        bob = await sync_to_async(user)("bob")
        late = await sync_to_async(services.open_portfolio)(user=bob, contest=where, at=AT)
        await desk.on_wake("contests")
        assert {own.id, late.id} <= set(desk.book.rows)
        await sync_to_async(services.leave_contest)(user=bob, contest=where, at=AT)
        await desk.on_wake("contests")
        assert late.id not in desk.book.rows
        await desk.stop()

    async def test_sees_a_reservation_within_five_seconds(self, engine: FakeEngine) -> None:
        own = await sync_to_async(_alice)()
        desk = await _started(engine)
        await Portfolio.objects.filter(id=own.id).aupdate(reserved=Decimal("500.00"))
        for second in range(1, 6):
            await desk.every_second(engine.board, NOW_MS + second * 1000)
        assert desk.book.rows[own.id].reserved == Decimal("500.00")
        await desk.stop()


class TestMinutes:
    async def test_keeps_a_point_a_minute_for_who_has_traded(
        self, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = await sync_to_async(_alice)()
        desk = await _started(engine)
        await desk.every_second(engine.board, NOW_MS)
        held = desk.book.rows[own.id]
        monkeypatch.setitem(desk.book.rows, own.id, replace(held, fills=1))
        for second in (60, 61, 120):
            await desk.every_second(engine.board, NOW_MS + second * 1000)
            if desk._writing is not None:
                await desk._writing
        points = [
            point async for point in PortfolioSnapshot.objects.filter(portfolio=own).order_by("id")
        ]
        assert [p.taken_at for p in points] == [AT + timedelta(minutes=n) for n in (1, 2)]
        assert {p.equity for p in points} == {Decimal("1000000.00")}
        await desk.stop()
