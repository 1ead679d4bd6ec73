"""What portfolios tell connected users: types and shapes of the messages, numbers as numbers.

`portfolio_update`, `rank_update` and `contest_update` are live events: not numbered, the newest
of one portfolio or contest replaces the one before it. `announcement` is durable.
"""

from collections.abc import Sequence
from typing import Any

from portfolios.models import Announcement, Contest
from portfolios.snapshots import ContestSnapshot
from portfolios.valuation import PortfolioRow

PORTFOLIO_UPDATE = "portfolio_update"
RANK_UPDATE = "rank_update"
CONTEST_UPDATE = "contest_update"
ANNOUNCEMENT = "announcement"
TOP_ROWS = 50  # rows of the board that a rank_update carries


def portfolio_update(
    *, row: PortfolioRow, part: ContestSnapshot, place: int, positions: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A portfolio as its owner sees it live: rupees, percent, and its open positions."""
    return {
        "portfolio_id": row.id,
        "contest": row.contest,
        "snapshot_id": part.snapshot_id,
        "as_of": part.as_of.isoformat(),
        "cash": float(row.cash),
        "reserved": float(row.reserved),
        "buying_power": float(row.buying_power),
        "invested": round(float(part.invested[place]), 2),
        "equity": round(float(part.equity[place]), 2),
        "day_pnl": round(float(part.day_pnl[place]), 2),
        "realised_pnl": float(row.realised + row.dividends),
        "unrealised_pnl": round(float(part.unrealised[place]), 2),
        "charges": float(row.charges),
        "return_percent": round(float(part.return_percent[place]), 4),
        "rank": int(part.rank[place]) or None,
        "of": part.of,
        "positions": list(positions),
    }


def rank_update(
    *,
    row: PortfolioRow,
    part: ContestSnapshot,
    place: int,
    previous_rank: int | None,
    top: Any,
) -> dict[str, Any]:
    """A portfolio's place in its contest, and the head of the board at the same prices: `top`
    is a list of `top_row`, or its encoding."""
    return {
        "portfolio_id": row.id,
        "contest": row.contest,
        "snapshot_id": part.snapshot_id,
        "as_of": part.as_of.isoformat(),
        "rank": int(part.rank[place]) or None,
        "previous_rank": previous_rank,
        "of": part.of,
        "return_percent": round(float(part.return_percent[place]), 4),
        "equity": round(float(part.equity[place]), 2),
        "day_pnl": round(float(part.day_pnl[place]), 2),
        "top": top,
    }


def top_row(*, part: ContestSnapshot, place: int, alias: str) -> dict[str, Any]:
    """A row of the board as everybody in the contest may see it."""
    return {
        "rank": int(part.rank[place]) or None,
        "portfolio_id": int(part.ids[place]),
        "alias": alias,
        "return_percent": round(float(part.return_percent[place]), 4),
        "equity": round(float(part.equity[place]), 2),
        "day_pnl": round(float(part.day_pnl[place]), 2),
    }


def contest_update(*, contest: Contest, reason: str) -> dict[str, Any]:
    """A contest that was frozen, resumed or ended: open order tickets show it at once."""
    return {
        "contest": contest.slug,
        "name": contest.name,
        "state": contest.state,
        "reason": reason,
    }


def announcement(*, announcement: Announcement) -> dict[str, Any]:
    """A message of staff; `contest` None is for everybody. Texts are plain."""
    contest = announcement.contest
    return {
        "id": announcement.pk,
        "title": announcement.title,
        "body": announcement.body,
        "contest": None if contest is None else contest.slug,
        "created_at": announcement.created_at.isoformat(),
    }
