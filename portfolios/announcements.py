"""Messages of staff to everybody or to one contest: on every open page at once, and in a list."""

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from mockmarket.core import bus
from mockmarket.core.audit import audit
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import events
from portfolios.models import Announcement, Contest, Portfolio

TITLE_MAX = 120
BODY_MAX = 2_000


class InvalidAnnouncement(DomainError):
    """An announcement without a title, or longer than a page can show."""

    code = "invalid_announcement"


def announce(
    *, author: User, title: str, body: str = "", contest: Contest | None = None, at: datetime
) -> Announcement:
    """Tell everybody (contest None) or those in a contest. Numbered like every durable event, so
    that a page that was away for a moment gets it when it is back.

    Raises InvalidAnnouncement.
    """
    title, body = title.strip(), body.strip()
    if not title or len(title) > TITLE_MAX:
        message = f"The title needs 1 to {TITLE_MAX} characters."
        raise InvalidAnnouncement(message, fields={"title": message})
    if len(body) > BODY_MAX:
        message = f"The text is longer than {BODY_MAX} characters."
        raise InvalidAnnouncement(message, fields={"body": message})
    with transaction.atomic():
        made = Announcement.objects.create(
            contest=contest, title=title, body=body, author=author, created_at=at
        )
        audit(
            actor=author,
            action="announcement.create",
            target=made,
            reason=title,
            at=at,
            after={"contest": None if contest is None else contest.slug, "body": body},
        )
        payload = events.announcement(announcement=made)
        bus.publish_many(
            [(user_id, events.ANNOUNCEMENT, payload) for user_id in _audience(contest)], at=at
        )
    return made


def _audience(contest: Contest | None) -> list[int]:
    if contest is None:
        return list(User.objects.filter(is_active=True).order_by("pk").values_list("pk", flat=True))
    joined = Portfolio.objects.filter(contest=contest, left_at__isnull=True, user__is_active=True)
    return list(joined.order_by("user_id").values_list("user_id", flat=True))


def announcements_for(*, user: User) -> QuerySet[Announcement]:
    """What the user was told or would have been, newest first."""
    mine = Q(contest__portfolios__user=user, contest__portfolios__left_at__isnull=True)
    return (
        Announcement.objects.select_related("contest")
        .filter(Q(contest__isnull=True) | mine)
        .distinct()
        .order_by("-created_at", "-id")
    )
