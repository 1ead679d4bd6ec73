"""The engine's side of valuation: keeps the book in step with the database, values everybody
once a second, and tells those who are there.

Lives on the market engine's loop as one of its hooks. The database is read in a thread of its
own, so that a slow disk delays no tick; rows are applied in the loop. Level-triggered: fills ask
for a reading at once (`refresh`), and every few seconds the versions of all portfolios are
compared, so a lost doorbell, a new member or a frozen contest is caught as well.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime
from typing import Any, Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import redis as redis_errors
from django.db import DatabaseError, close_old_connections, connections

from marketdata.board import COLUMN, Board
from mockmarket.core import bus, clock
from portfolios import events, history, leaderboard, rows, snapshots
from portfolios.book import Book, Snapshot
from portfolios.valuation import PortfolioRow

log = logging.getLogger(__name__)

RECONCILE_SECONDS: Final = 5
REPEAT_SECONDS: Final = 5  # an unchanged state is told again, for sockets that came since
COALESCE_SECONDS: Final = 0.05  # fills of one burst share a reading
# Above this many present users the head of the board goes out only on a change of rank or every
# REPEAT_SECONDS: 5 kB a user and second would be 5 MB/s at a thousand.
CHATTY_USERS_MAX: Final = 200


class Engine(Protocol):
    """What the desk needs of the market engine."""

    board: Board

    def users(self) -> Collection[int]:
        """Ids of the users with an open socket."""


class ValuationDesk:
    """Hook of the market engine. One owner of the book; everything but `refresh` is called in
    the loop's thread."""

    def __init__(self) -> None:
        self.book = Book(row_of=self._row_of)
        self.newest: Snapshot | None = None
        self.failures = 0
        self._engine: Engine | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._database = ThreadPoolExecutor(max_workers=1, thread_name_prefix="valuation-db")
        self._wanted: set[int] = set()
        self._versions: dict[int, rows.Version] = {}
        self._by_user: dict[int, set[int]] = defaultdict(set)
        self._told: dict[int, tuple[Any, int]] = {}  # portfolio -> what it was told, when (ms)
        self._ranks: dict[int, int] = {}
        self._session_date: date | None = None
        self._second = 0
        self._minute = 0
        self._reading = asyncio.Lock()
        self._early: asyncio.Task[None] | None = None
        self._writing: asyncio.Future[None] | None = None

    # --- Hooks of the market engine -----------------------------------------------------
    async def start(self, engine: Engine) -> None:
        """Read everything; the board is filled."""
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._reading = asyncio.Lock()
        self._session_date = None
        self.book = Book(row_of=self._row_of)
        self._versions, self._told, self._ranks = {}, {}, {}
        self._by_user.clear()
        await self._reconcile(at=clock.now())

    async def stop(self) -> None:
        """Leave nothing running."""
        for running in (self._early, self._writing):
            if running is not None:
                await asyncio.gather(running, return_exceptions=True)
        self._early = self._writing = None
        if self._loop is not None:
            await self._loop.run_in_executor(self._database, connections.close_all)
        self._loop = None

    def on_ticks(self, changed: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Nothing: a pass a second serves everybody."""

    def extra_interest(self) -> set[str]:
        """Keys of the instruments that somebody holds."""
        return self.book.interest()

    async def on_wake(self, what: str) -> None:
        """Somebody joined or left, or a contest changed state: look now."""
        if what == "contests":
            await self._guarded(self._reconcile(at=clock.now()))

    async def every_second(self, board: Board, now_ms: int) -> None:
        """Read what changed, value, tell, keep. A failure is counted; the market goes on."""
        await self._guarded(self._pass(board, now_ms))

    def refresh(self, portfolio_ids: Iterable[int]) -> None:
        """Have these portfolios read again soon. Safe in any thread; costs no query here."""
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._want, set(portfolio_ids))

    # --- One pass -----------------------------------------------------------------------
    async def _pass(self, board: Board, now_ms: int) -> None:
        self._second += 1
        at = clock.from_ms(now_ms)
        today = await self._run(rows.session_date, at=at)
        if today != self._session_date or self._second % RECONCILE_SECONDS == 0:
            await self._reconcile(at=at)
        elif self._wanted:
            await self._read_wanted()
        snapshot = self._value(board, now_ms)
        parts = snapshots.split(snapshot)
        await self._tell(parts, now_ms=now_ms, everybody=True)
        await self._store(parts)
        self._keep_minute(snapshot, board, now_ms)

    def _value(self, board: Board, now_ms: int) -> Snapshot:
        values = board.values
        self.newest = self.book.value(
            last=values[:, COLUMN["last_price"]],
            previous_close=values[:, COLUMN["previous_close"]],
            received_ms=values[:, COLUMN["received_ms"]],
            at_ms=now_ms,
        )
        return self.newest

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except (DatabaseError, redis_errors.RedisError, OSError):
            self.failures += 1
            log.warning("valuation skipped a beat: database or Redis is away", exc_info=True)
        except Exception:  # a wrong row must not end the market
            self.failures += 1
            log.exception("valuation failed")

    async def _run(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        def call() -> Any:
            close_old_connections()
            try:
                return work(*args, **kwargs)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    def _row_of(self, instrument_key: str) -> int:
        assert self._engine is not None, "the desk has not started"
        return self._engine.board.row(instrument_key)

    # --- Reading ------------------------------------------------------------------------
    def _want(self, portfolio_ids: set[int]) -> None:
        self._wanted |= portfolio_ids
        if self._early is None or self._early.done():
            self._early = asyncio.create_task(self._guarded(self._read_early()))

    async def _read_early(self) -> None:
        """After fills: read, value and tell their owners without waiting for the second."""
        assert self._engine is not None
        while self._wanted:
            await asyncio.sleep(COALESCE_SECONDS)
            read = await self._read_wanted()
            snapshot = self._value(self._engine.board, clock.now_ms())
            parts = snapshots.split(snapshot)
            await self._tell(parts, now_ms=snapshot.at_ms, everybody=False, only=read)

    async def _read_wanted(self) -> set[int]:
        async with self._reading:
            wanted, self._wanted = self._wanted, set()
            try:
                found = await self._run(
                    rows.portfolio_rows, ids=wanted, session_date=self._session_date
                )
            except BaseException:
                self._wanted |= wanted
                raise
            self._apply(found)
        return wanted

    async def _reconcile(self, *, at: datetime) -> None:
        """Make the book equal to the database: members, balances, session."""
        async with self._reading:
            today = await self._run(rows.session_date, at=at)
            if today != self._session_date:
                self._session_date = today
                self._versions = {}
            versions = await self._run(rows.live_versions)
            for portfolio_id in set(self.book.rows) - set(versions):
                self._drop(portfolio_id)
            changed = {key for key, seen in versions.items() if self._versions.get(key) != seen}
            wanted, self._wanted = self._wanted, set()
            try:
                found = await self._run(
                    rows.portfolio_rows, ids=changed | wanted & set(versions), session_date=today
                )
            except BaseException:
                self._wanted |= wanted
                raise
            self._versions = versions
            self._apply(found)
            await self._fill_unpriced()

    async def _fill_unpriced(self) -> None:
        """Give held instruments that the board has no price for their last one kept."""
        assert self._engine is not None
        board = self._engine.board
        places = {key: board.row(key) for key in self.book.interest()}
        last = board.values[:, COLUMN["last_price"]]
        unknown = {key for key, row in places.items() if np.isnan(last[row])}
        unknown -= self.book.fallback_keys
        if unknown:
            kept = await self._run(rows.last_prices, keys=unknown)
            for key in unknown:
                last, close = kept.get(key, (np.nan, np.nan))
                self.book.set_fallback(instrument_key=key, last=last, previous_close=close)

    def _apply(self, found: Iterable[PortfolioRow]) -> None:
        assert self._session_date is not None
        for row in found:
            held = self.book.rows.get(row.id)
            if held is not None and held.version > row.version:
                continue  # read before a fill that is applied already
            self.book.put(row, session_date=self._session_date)
            self._by_user[row.user_id].add(row.id)

    def _drop(self, portfolio_id: int) -> None:
        row = self.book.rows[portfolio_id]
        self._by_user[row.user_id].discard(portfolio_id)
        self._told.pop(portfolio_id, None)
        self._ranks.pop(portfolio_id, None)
        self.book.drop(portfolio_id)

    # --- Telling ------------------------------------------------------------------------
    async def _tell(
        self,
        parts: dict[int, snapshots.ContestSnapshot],
        *,
        now_ms: int,
        everybody: bool,
        only: Collection[int] = (),
    ) -> None:
        """Send what changed to the owners that are connected, in one message."""
        assert self._engine is not None
        users = self._engine.users()
        present = [p for user in users for p in self._by_user.get(user, ())]
        chatty = everybody and len(users) <= CHATTY_USERS_MAX
        tops: dict[int, msgspec.Raw] = {}
        items: list[tuple[int, str, dict[str, Any]]] = []
        for portfolio_id in present:
            row = self.book.rows[portfolio_id]
            part = parts.get(row.contest_id)
            place = part.place(portfolio_id) if part is not None else None
            if part is None or place is None or not (everybody or portfolio_id in only):
                continue
            update = events.portfolio_update(
                row=row, part=part, place=place, positions=self.book.positions(portfolio_id)
            )
            state = {k: v for k, v in update.items() if k not in ("snapshot_id", "as_of")}
            told, told_ms = self._told.get(portfolio_id, (None, 0))
            due = now_ms - told_ms >= REPEAT_SECONDS * 1000
            if state == told and not due:
                continue
            self._told[portfolio_id] = (state, now_ms)
            items.append((row.user_id, events.PORTFOLIO_UPDATE, update))
            rank, previous = int(part.rank[place]), self._ranks.get(portfolio_id)
            if rank != previous or due or chatty:
                self._ranks[portfolio_id] = rank
                if row.contest_id not in tops:
                    tops[row.contest_id] = self._top(part)
                items.append(
                    (
                        row.user_id,
                        events.RANK_UPDATE,
                        events.rank_update(
                            row=row,
                            part=part,
                            place=place,
                            previous_rank=previous or None,
                            top=tops[row.contest_id],
                        ),
                    )
                )
        if items:
            await bus.publish_live_async(items)

    def _top(self, part: snapshots.ContestSnapshot) -> msgspec.Raw:
        """The head of a board, encoded once for everybody who gets it."""
        order = leaderboard.listing(ids=part.ids, rank=part.rank)[: events.TOP_ROWS]
        shown = [
            events.top_row(part=part, place=int(place), alias=self._alias(int(part.ids[place])))
            for place in order
        ]
        return msgspec.Raw(bus.encode(shown).encode())

    def _alias(self, portfolio_id: int) -> str:
        return self.book.rows[portfolio_id].alias

    async def _store(self, parts: dict[int, snapshots.ContestSnapshot]) -> None:
        await self._run(snapshots.store, parts)

    # --- Keeping ------------------------------------------------------------------------
    def _keep_minute(self, snapshot: Snapshot, board: Board, now_ms: int) -> None:
        """Once a minute, write the equity curves, beside the loop."""
        minute = now_ms // 60_000
        if minute == self._minute or (self._writing is not None and not self._writing.done()):
            return
        self._minute = minute
        row = board.row(history.BENCHMARK_KEY)  # first: a new row replaces `values`
        benchmark = float(board.values[row, COLUMN["last_price"]])
        taken = history.minute_points(
            snapshot=snapshot, rows=self.book.rows, at=clock.from_ms(minute * 60_000)
        )
        self._writing = asyncio.ensure_future(
            self._guarded(
                self._run(
                    history.store_minute,
                    points=taken,
                    benchmark=None if np.isnan(benchmark) else benchmark,
                )
            )
        )
