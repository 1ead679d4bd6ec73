"""Leaderboards: who stands where in a contest, every row at the same prices."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from mockmarket.core.clock import to_ms
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import contests, results, rows, snapshots
from portfolios import leaderboard as ranking
from portfolios.book import Book
from portfolios.models import Contest, Portfolio, PortfolioMetrics
from portfolios.valuation import PortfolioRow, Price

ROWS_MAX = 200  # of a board given at once
# Ranked live by the engine's prices, and by the closes of the sessions past.
LIVE_BOARDS = ("return", "day", "week")
MOVING_BOARDS = ("day", "week")  # of no contest that has ended: its result stands still
CLOSE_BOARDS = ("sharpe", "drawdown", "win_rate", "consistency")
BOARDS = (*LIVE_BOARDS, *CLOSE_BOARDS)


class UnknownBoard(DomainError):
    """A leaderboard that this product does not have."""

    code = "unknown_board"


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One portfolio on a leaderboard. `alias` is the name that others may see."""

    rank: int | None
    portfolio_id: int
    alias: str
    return_percent: float
    equity: float
    day_pnl: float
    me: bool
    score: float | None = None  # what this board ranks by: percent, or the ratio
    rank_low: int | None = None  # had the same days come in another mix, nine draws in ten
    rank_high: int | None = None  # would have ranked between these two


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """A page of a board, every row from one snapshot. `of` counts the ranked, `total` all."""

    contest: str
    board: str
    snapshot_id: int
    as_of: datetime
    of: int
    total: int
    rows: tuple[BoardRow, ...]
    me: BoardRow | None


def leaderboard(
    *,
    contest: Contest,
    at: datetime,
    user: User | None = None,
    board: str = "return",
    limit: int = 50,
    after: int = 0,
    part: snapshots.ContestSnapshot | None = None,
) -> Leaderboard:
    """Rows `after` to `after + limit` of a contest's board, and the user's own row; from `part`
    where the caller has it, else from `standing`.

    Raises UnknownBoard.
    """
    if board not in BOARDS:
        raise UnknownBoard(f"There is no board {board!r}.", fields={"board": "is not a board"})
    part = part or standing(contest=contest, at=at)
    kept = {} if board in ("return", "day") else _metrics(contest)
    score = _score(board, part=part, kept=kept)
    if board in MOVING_BOARDS and contest.state in contests.ENDED:
        score = np.full(len(score), np.nan)
    rank, of = _ranked(part=part, score=score, falling=board == "drawdown")
    order = ranking.listing(ids=part.ids, rank=rank)
    shown = order[after : after + max(1, min(limit, ROWS_MAX))]
    own = _own_place(part=part, contest=contest, user=user)
    places = {*map(int, shown)} | ({own} if own is not None else set())
    ids = {int(part.ids[place]) for place in places}
    page = _Page(
        part=part,
        rank=rank,
        score=score,
        aliases=_aliases(ids),
        metrics=kept or _metrics(contest, ids=ids),
        own=own,
    )
    return Leaderboard(
        contest=contest.slug,
        board=board,
        snapshot_id=part.snapshot_id,
        as_of=part.as_of,
        of=of,
        total=len(part.ids),
        rows=tuple(page.row(int(place)) for place in shown),
        me=None if own is None else page.row(own),
    )


def standing(*, contest: Contest, at: datetime) -> snapshots.ContestSnapshot:
    """Where everybody stands: the engine's newest snapshot, else a valuation made here; of a
    contest that has ended the frozen result, whatever prices do."""
    ended = results.as_snapshot(contest=contest) if contest.state in contests.ENDED else None
    return (
        ended or snapshots.newest(contest_id=contest.id, at=at) or recompute(contest=contest, at=at)
    )


@dataclass(frozen=True, slots=True)
class _Page:
    part: snapshots.ContestSnapshot
    rank: ranking.Ints
    score: ranking.Floats
    aliases: Mapping[int, str]
    metrics: Mapping[int, PortfolioMetrics]
    own: int | None

    def row(self, place: int) -> BoardRow:
        portfolio_id = int(self.part.ids[place])
        kept, score = self.metrics.get(portfolio_id), float(self.score[place])
        return BoardRow(
            rank=int(self.rank[place]) or None,
            portfolio_id=portfolio_id,
            alias=self.aliases.get(portfolio_id, ""),
            return_percent=round(float(self.part.return_percent[place]), 4),
            equity=round(float(self.part.equity[place]), 2),
            day_pnl=round(float(self.part.day_pnl[place]), 2),
            me=place == self.own,
            score=None if np.isnan(score) else round(score, 4),
            rank_low=kept.rank_low if kept else None,
            rank_high=kept.rank_high if kept else None,
        )


def _metrics(contest: Contest, ids: Collection[int] | None = None) -> dict[int, PortfolioMetrics]:
    found = PortfolioMetrics.objects.filter(portfolio__contest=contest)
    if ids is not None:
        found = found.filter(portfolio_id__in=ids)
    return {row.portfolio_id: row for row in found}


def _score(
    board: str, *, part: snapshots.ContestSnapshot, kept: Mapping[int, PortfolioMetrics]
) -> ranking.Floats:
    """What a board shows, by place; NaN where there is nothing to show."""
    if board == "return":
        return part.return_percent
    if board == "day":
        began = part.equity - part.day_pnl
        return _percent(part.day_pnl, began)
    if board == "week":
        began = part.equity / (1 + part.return_percent / 100)  # the capital paid in
        for place, portfolio_id in enumerate(part.ids.tolist()):
            if portfolio_id in kept:
                began[place] = float(kept[portfolio_id].week_equity)
        return _percent(part.equity - began, began)
    name = "drawdown_percent" if board == "drawdown" else board
    values = (getattr(kept.get(int(key)), name, None) for key in part.ids)
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _percent(gain: ranking.Floats, of: ranking.Floats) -> ranking.Floats:
    found: ranking.Floats = np.full(len(gain), np.nan)
    np.divide(gain * 100, of, out=found, where=of > 0)
    return found


def _ranked(
    *, part: snapshots.ContestSnapshot, score: ranking.Floats, falling: bool = False
) -> tuple[ranking.Ints, int]:
    known = (part.rank > 0) & ~np.isnan(score)
    rank, of = ranking.ranks(
        contest=np.zeros(len(score), np.int64),
        score=np.where(known, -score if falling else score, 0.0),
        ranked=known,
    )
    return rank, of.get(0, 0)


def recompute(*, contest: Contest, at: datetime) -> snapshots.ContestSnapshot:
    """The contest valued here and now from the database and the newest quotes: when the engine
    is silent, and what its snapshots are tested against."""
    found = _members(contest, at=at)
    keys = {p.instrument_key for row in found for p in row.positions}
    return value_rows(
        found=found, prices=rows.prices(keys=keys, at=at), contest_id=contest.id, at=at
    )


def _members(contest: Contest, *, at: datetime) -> list[PortfolioRow]:
    ids = Portfolio.objects.filter(contest=contest, left_at__isnull=True)
    return rows.portfolio_rows(
        ids=ids.values_list("id", flat=True), session_date=rows.session_date(at=at)
    )


def value_rows(
    *, found: Sequence[PortfolioRow], prices: Mapping[str, Price], contest_id: int, at: datetime
) -> snapshots.ContestSnapshot:
    """Portfolios of one contest valued and ranked at given prices."""
    keys = sorted({p.instrument_key for row in found for p in row.positions})
    places = {key: place for place, key in enumerate(keys)}
    book = Book(row_of=places.__getitem__)
    session_date = rows.session_date(at=at)
    for row in found:
        book.put(row, session_date=session_date)
    snapshot = book.value(
        last=_column(keys, prices, "last"),
        previous_close=_column(keys, prices, "previous_close"),
        at_ms=to_ms(at),
    )
    return snapshots.split(snapshot).get(contest_id) or snapshots.empty(at_ms=to_ms(at))


def _column(keys: Collection[str], quotes: Mapping[str, Price], name: str) -> ranking.Floats:
    values = (getattr(quotes.get(key), name, None) for key in keys)
    return np.array([np.nan if value is None else float(value) for value in values], np.float64)


def _own_place(
    *, part: snapshots.ContestSnapshot, contest: Contest, user: User | None
) -> int | None:
    if user is None:
        return None
    own = (
        Portfolio.objects.filter(contest=contest, user_id=user.pk, left_at__isnull=True)
        .values_list("id", flat=True)
        .first()
    )
    return part.place(own) if own is not None else None


def _aliases(ids: Collection[int]) -> dict[int, str]:
    found = Portfolio.objects.filter(id__in=ids).select_related("user")
    return {portfolio.id: portfolio.user.shown_name for portfolio in found}
