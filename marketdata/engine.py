"""The market engine: one asyncio loop that owns the quote board.

Frames come from the feed's thread through a bounded queue; each passes the sanity gate, is
merged, and goes to the hooks (matching, valuation) in order, tick by tick. What changed is
published as one batch a beat, however many users there are. Once a second: the lease, the
board's snapshot in Redis, the status, the hooks' own second, the heartbeat. Database work runs
in one thread beside the loop, so that a slow disk delays no tick.
"""

import asyncio
import inspect
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any, Final

import msgspec
import numpy as np
import redis
import redis.asyncio
import structlog
from django.conf import settings
from django.db import close_old_connections

from marketdata import broker, feeding, loading, selectors
from marketdata.board import Board
from marketdata.candles import Folder
from marketdata.doorbells import Doorbells
from marketdata.gate import Gate
from marketdata.heartbeat import Vitals
from marketdata.hooks import Hook
from marketdata.keeping import Keeper
from marketdata.leadership import Leadership
from marketdata.pacing import ClockWatch, end_all, every_second
from marketdata.quotes import Tick
from marketdata.status import MarketStatus
from marketdata.upstox.wire import Frame
from mockmarket.core import alarms, bus, clock, ear
from mockmarket.core import redis as store
from mockmarket.core.errors import DomainError

log = structlog.get_logger(__name__)

BEAT_MS_MAX: Final = 50
# Frames waiting for the loop; a full market is about 100 a second, so this is a minute of them.
FRAMES_WAITING_MAX: Final = 8_192
FRAMES_PER_TURN: Final = 32
SNAPSHOT_TTL_MS: Final = 10_000
STATUS_EVERY_SECONDS: Final = 5
REFUSED_ALARM: Final = "feed-token"


class MarketEngine:
    """Runs until `stop()`; `run()` returns when everything is closed."""

    def __init__(self, *, hooks: Sequence[Hook] = ()) -> None:
        self.hooks = tuple(hooks)
        self.board = Board(epoch="")
        self.gate = Gate()
        self.folder = Folder()
        self.vitals = Vitals()
        self.demand = feeding.NO_DEMAND
        self.status: MarketStatus | None = None
        self._frames: deque[Frame] = deque(maxlen=FRAMES_WAITING_MAX)
        self._frame_arrived = asyncio.Event()
        self._stopping = asyncio.Event()
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="engine-db")
        self._redis: redis.asyncio.Redis = store.async_client()
        self._leadership = Leadership(self._redis)
        self._doorbells = Doorbells()
        self._loop: asyncio.AbstractEventLoop
        self._feeder: feeding.Feeder | None = None
        self._hooks_started = False
        self._session = date.min
        self._keeper = Keeper(in_database=self.in_database)

    # --- Life ---------------------------------------------------------------------------
    @property
    def token(self) -> int:
        """The fencing token of this engine's lease; grows with every change of hands."""
        return self._leadership.token

    def users(self) -> frozenset[int]:
        """Ids of the users with an open socket, as of the last second."""
        return self.demand.users

    def stop(self) -> None:
        """Ask the engine to end; safe from a signal handler of the loop."""
        self._stopping.set()

    async def run(self) -> None:
        """Stand by until the lease is free, then serve until stopped or replaced."""
        try:
            while not self._stopping.is_set():
                if await self._stand_by():
                    await self._serve()
        finally:
            await self._leadership.release()
            await self._redis.aclose()
            self._database.shutdown(wait=True)

    async def _stand_by(self) -> bool:
        said = False
        while not self._stopping.is_set():
            try:
                if await self._leadership.take():
                    return True
                if not said:
                    log.info("another engine is active; standing by")
                    said = True
            except (redis.RedisError, OSError):
                log.warning("Redis is away; the engine waits for it")
            await self._pause(1.0)
        return False

    async def _pause(self, seconds: float) -> None:
        """Sleep, but wake at once when stopping."""
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    async def in_database(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `work` in the engine's database thread."""

        def call() -> Any:
            close_old_connections()
            try:
                return work(*args, **kwargs)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    async def _serve(self) -> None:
        at = clock.now()
        self.board = Board(epoch=f"{self.token}-{clock.to_ms(at):x}")
        self.folder = Folder()
        self._loop = asyncio.get_running_loop()
        start = await self.in_database(loading.start_state, at=at)
        feeder = self._feeder = feeding.Feeder(
            deliver=self._deliver,
            count_bad=self.gate.count,
            universe=start.universe,
            calendar=await self.in_database(selectors.calendar),
        )
        self.board.merge(start.ticks)
        self.gate.learn(start.references)
        await self._begin_session(at)
        self.gate.learn_closes(start.closes)
        self.status = feeder.status(at=clock.now())
        await self._publish_snapshot()
        for hook in self.hooks:
            await hook.start(self)
        self._hooks_started = True
        feeder.tend(at=clock.now())
        log.info("the engine is active", fence=self.token, rows=len(self.board))
        try:
            await self._run_tasks()
        finally:
            feeder.stop()
            self._hooks_started = False
            for hook in reversed(self.hooks):
                await hook.stop()
            await self._keeper.store(self.board, at=clock.now())
            self._feeder = None

    async def _begin_session(self, at: datetime) -> None:
        """Yesterday's closes become the measure of today, until the exchange gives its own."""
        assert self._feeder is not None
        calendar = self._feeder.calendar
        self._session = self._feeder.session(at=at)
        self.gate.begin_session()
        self.board.merge(await self.in_database(loading.previous_closes, at=at, calendar=calendar))
        await self._merge_rest(await asyncio.to_thread(self._feeder.sweep, self._feeder.universe))

    async def _run_tasks(self) -> None:
        """Run the loops until one ends: stopped, replaced, or failed (then raise)."""
        loops = (
            self._consume, self._beats, self._hold, self._seconds, self._keep, self._listen,
            self._answer, self._follow_interest,
        )  # fmt: skip
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(loop(), name=loop.__name__) for loop in loops
        ]
        tasks.append(asyncio.create_task(self._stopping.wait(), name="stopping"))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            await end_all(tasks)

    # --- Ticks --------------------------------------------------------------------------
    def _deliver(self, frame: Frame) -> None:
        """Take a decoded frame from the feed's thread. Full: the oldest goes, counted.

        The loop is woken once a burst, not once a frame: it clears the event before it empties
        the queue, so a frame appended while the event is set is seen in that same turn.
        """
        if len(self._frames) == FRAMES_WAITING_MAX:
            self.vitals.frames_dropped += 1
        self._frames.append(frame)
        if not self._frame_arrived.is_set():
            self._loop.call_soon_threadsafe(self._frame_arrived.set)

    async def _consume(self) -> None:
        while True:
            await self._frame_arrived.wait()
            self._frame_arrived.clear()
            while self._frames:
                for _ in range(min(FRAMES_PER_TURN, len(self._frames))):
                    frame = self._frames.popleft()
                    if frame.market_info is not None and settings.MARKET_SOURCE == "replay":
                        self._begin_anew()
                    self.take(frame.ticks, now_ms=clock.now_ms())
                await asyncio.sleep(0)  # beats and seconds get their turn under a flood

    def take(self, ticks: Sequence[Tick], *, now_ms: int) -> list[int]:
        """Gate, merge and hand on the ticks of one frame; the rows that changed."""
        if not ticks:
            return []
        passed = self.gate.sift(ticks, now_ms=now_ms)
        changed = self.board.merge(passed)
        self.vitals.took(ticks=len(passed), at_ms=now_ms, oldest_ms=ticks[0].received_ms)
        for tick in passed:
            self.folder.fold(tick)
        if changed and self._hooks_started:
            rows = np.array(changed, dtype=np.int32)
            for hook in self.hooks:
                hook.on_ticks(rows, self.board, now_ms)
        return changed

    def _begin_anew(self) -> None:
        """Nothing told before is newer than what comes. A connection to a replay begins with the
        market's phases: it may have been started again or play another day. Or the machine's
        clock was set back, and with it a simulated exchange's."""
        self.board.forget_times()
        self.folder.begin_anew()
        self.gate.begin_session()

    async def _merge_rest(self, ticks: Sequence[Tick]) -> None:
        # In portions, so that a sweep of 2,200 shares holds no frame up for long.
        for start in range(0, len(ticks), 200):
            self.take(ticks[start : start + 200], now_ms=clock.now_ms())
            await asyncio.sleep(0)

    # --- Publishing ---------------------------------------------------------------------
    async def _beats(self) -> None:
        shortest = max(1, settings.STREAM_BEAT_MS) / 1000
        while True:
            began = clock.monotonic()
            batch = self.board.drain(at_ms=clock.now_ms())
            if batch is not None and await bus.send_async(bus.STREAM_GROUP, batch):
                self.vitals.published(rows=len(batch["rows"]) // 4)
            spent = clock.monotonic() - began
            # A beat that costs more than half of itself is too fast for this machine.
            pause = min(BEAT_MS_MAX / 1000, max(shortest, 2 * spent)) - spent
            await asyncio.sleep(max(0.001, pause))

    async def _publish_snapshot(self) -> bool:
        """The board to Redis; False when a newer engine has taken over."""
        snapshot = self.board.snapshot(at_ms=clock.now_ms())
        snapshot["status"] = {} if self.status is None else msgspec.to_builtins(self.status)
        encoded = msgspec.msgpack.encode(snapshot)
        return await self._leadership.write(store.key("board"), encoded, ttl_ms=SNAPSHOT_TTL_MS)

    async def _publish_status(self, at: datetime, *, second: int) -> None:
        assert self._feeder is not None
        status = self._feeder.status(at=at)
        before, self.status = self.status, status
        changed = before is None or status.status != before.status
        if (
            changed
            or (before and before.message != status.message)
            or (second % STATUS_EVERY_SECONDS == 0)
        ):
            message = {"type": "market.status", **msgspec.to_builtins(status)}
            await bus.send_async(bus.STREAM_GROUP, message)
            if changed:
                log.info("market status", status=status.status, why=status.message)

    # --- Each second --------------------------------------------------------------------
    async def _hold(self) -> None:
        """Keep the lease and leave the snapshot, waiting for nothing but Redis: a slow disk or
        a hook that takes its time must not cost the lease."""
        async for _ in every_second():
            try:
                if not await self._leadership.renew() or not await self._publish_snapshot():
                    log.warning("another engine took over; standing by")
                    return
            except (redis.RedisError, OSError):
                self.vitals.redis_failures += 1

    async def _seconds(self) -> None:
        watch = ClockWatch()
        async for second in every_second():
            at = clock.now()
            if step := watch.set_by():
                log.warning("the machine's clock was set", seconds=round(step, 3))
                if step < 0:
                    self._begin_anew()
            await self._publish_status(at, second=second)
            for hook in self.hooks:
                result = hook.every_second(self.board, clock.to_ms(at))
                if inspect.isawaitable(result):
                    await result
            await self._beat_heart(at)

    async def _keep(self) -> None:
        """Outbox, minutes, last prices: failures are counted and logged, the loop goes on."""
        async for second in every_second():
            try:
                await self._keeper.turn(self.board, self.folder, second=second, at=clock.now())
            except Exception:  # one bad write must not end the market
                self.vitals.keep_failures += 1
                log.exception("the engine could not keep its records")

    async def _beat_heart(self, at: datetime) -> None:
        assert self._feeder is not None
        forming = {key: msgspec.to_builtins(bar) for key, bar in self.folder.forming().items()}
        report = self.vitals.report(at=at, gate=self.gate, board=self.board, demand=self.demand)
        report["feed"] = self._feeder.vitals()
        report["token"] = self.token
        try:
            await self._redis.set(
                store.key("minutes"), msgspec.msgpack.encode(forming), px=SNAPSHOT_TTL_MS
            )
            await self._redis.set(
                store.key("heartbeat", "engine"), msgspec.json.encode(report), ex=15
            )
        except (redis.RedisError, OSError):
            self.vitals.redis_failures += 1

    # --- Doorbells and interest ---------------------------------------------------------
    async def _listen(self) -> None:
        await ear.listen(bus.ENGINE_GROUP, self._doorbells.hear)

    async def _answer(self) -> None:
        while True:
            fetched, rung = await self._doorbells.answer()
            for ticks in fetched:
                await self._merge_rest(ticks)
            if "interest" in rung and self._feeder is not None:
                self._feeder.interest_changed.set()
            for what in rung:
                for hook in self.hooks:
                    await hook.on_wake(what)

    async def _await_token(self, at: datetime) -> None:
        """A refused token raises an alarm and stops all calls until another one is there."""
        assert self._feeder is not None
        message = self._feeder.refused
        await self.in_database(alarms.raise_alarm, name=REFUSED_ALARM, message=message, at=at)
        try:
            token = await self.in_database(broker.current_token)
        except DomainError:
            return  # none yet
        if self._feeder.renew(token):
            await self.in_database(alarms.clear, name=REFUSED_ALARM)

    async def _follow_interest(self) -> None:
        assert self._feeder is not None
        while True:
            try:
                self.demand = await feeding.read_demand(self._redis)
            except (redis.RedisError, OSError):
                self.vitals.redis_failures += 1  # keep what was wanted
            money: set[str] = set().union(*(hook.extra_interest() for hook in self.hooks))
            at = clock.now()
            self._feeder.calendar = await self.in_database(selectors.calendar)
            if self._feeder.refused:
                await self._await_token(at)
            if self._feeder.opens(at=at) or self._feeder.session(at=at) != self._session:
                # Closes first: the sanity gate measures the feed by them.
                await self._begin_session(at)
            self._feeder.tend(at=at)
            self._feeder.follow(demand=self.demand, money=money)
            if self._feeder.rest_due(at=at):
                await self._merge_rest(await asyncio.to_thread(self._feeder.poll_wanted))
            await self._feeder.wait_for_interest()
