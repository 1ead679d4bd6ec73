"""The administration's first page: contests under way, what one comes to do, what was done last."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from mockmarket.core import documentation
from mockmarket.core.models import AuditEntry
from portfolios import selectors
from portfolios.models import Contest

CONTESTS_SHOWN = 20
RECORDS_SHOWN = 8


def context(request: HttpRequest, found: dict[str, Any]) -> dict[str, Any]:
    """Unfold's callback: what its first page shows, of what the visitor may see."""
    may = request.user.has_perm
    if may("portfolios.view_contest"):
        found["contests"] = _under_way()
    if may("core.view_auditentry"):
        entries = AuditEntry.objects.select_related("actor")
        found["records"] = entries.order_by("-at", "-pk")[:RECORDS_SHOWN]
    found["docs"] = documentation.PREFIX if settings.DOCUMENTATION else ""
    return found


def _under_way() -> list[Contest]:
    """Contests that have not ended, the newest first, practice last; each with `members`."""
    going_on = Contest.objects.exclude(
        state__in=[Contest.State.FINISHED, Contest.State.ARCHIVED]
    ).annotate(members=selectors.MEMBERS)
    return list(going_on.order_by("is_practice", "-starts_at")[:CONTESTS_SHOWN])
