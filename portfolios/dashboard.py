"""What staff want to know of one contest at a glance."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np
from django.db.models import Count, Q, Sum

from mockmarket.core.models import AuditEntry, User
from mockmarket.core.money import ZERO
from portfolios import rows, standings
from portfolios.models import Announcement, Contest, LedgerEntry, Portfolio, Posting
from portfolios.standings import BoardRow

HEAD_ROWS = 10
IDLE_SHOWN = 20
RECENT_SHOWN = 8


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A contest in figures. Rupees and percent; returns of the ranked, None without any."""

    members: int
    invited: int
    left: int
    traded: int
    ranked: int
    fills: int
    fills_today: int
    charges: Decimal
    adjustments: int
    return_lowest: float | None
    return_median: float | None
    return_highest: float | None
    as_of: datetime
    head: tuple[BoardRow, ...]
    idle: tuple[User, ...]
    announcements: tuple[Announcement, ...]
    records: tuple[AuditEntry, ...]


def dashboard(*, contest: Contest, at: datetime) -> Dashboard:
    """Who takes part, who trades, how they stand, and what staff have done to the contest."""
    portfolios = Portfolio.objects.filter(contest=contest)
    present = portfolios.filter(left_at__isnull=True)
    fill = Q(entries__kind=LedgerEntry.Kind.FILL)
    idle = present.exclude(pk__in=present.filter(fill).values("pk"))
    fills = LedgerEntry.objects.filter(portfolio__contest=contest, kind=LedgerEntry.Kind.FILL)
    paid = Posting.objects.filter(
        portfolio__contest=contest, account=Posting.Account.CHARGES
    ).aggregate(total=Sum("amount"))["total"]
    part = standings.standing(contest=contest, at=at)
    board = standings.leaderboard(contest=contest, at=at, limit=HEAD_ROWS, part=part)
    returns = part.return_percent[part.rank > 0]
    began = rows.session_began(rows.session_date(at=at))
    records = AuditEntry.objects.filter(object_type="contest", object_id=str(contest.pk))
    counted = portfolios.aggregate(
        members=Count("pk", filter=Q(left_at__isnull=True)),
        left=Count("pk", filter=Q(left_at__isnull=False)),
    )
    return Dashboard(
        members=counted["members"],
        invited=contest.invitations.count(),
        left=counted["left"],
        traded=counted["members"] - idle.count(),
        ranked=board.of,
        fills=fills.count(),
        fills_today=fills.filter(occurred_at__gte=began).count(),
        charges=paid or ZERO,
        adjustments=LedgerEntry.objects.filter(
            portfolio__contest=contest, kind=LedgerEntry.Kind.ADJUSTMENT
        ).count(),
        return_lowest=float(returns.min()) if len(returns) else None,
        return_median=float(np.median(returns)) if len(returns) else None,
        return_highest=float(returns.max()) if len(returns) else None,
        as_of=board.as_of,
        head=board.rows,
        idle=tuple(
            portfolio.user
            for portfolio in idle.select_related("user").order_by("user__username")[:IDLE_SHOWN]
        ),
        announcements=tuple(contest.announcements.order_by("-created_at")[:RECENT_SHOWN]),
        records=tuple(records.select_related("actor").order_by("-at", "-pk")[:RECENT_SHOWN]),
    )
