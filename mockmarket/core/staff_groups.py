"""The two roles of staff, as permission groups: a teaching assistant looks and helps, an
administrator decides. Superusers need neither."""

from django.contrib.auth.models import Group, Permission
from django.db import transaction
from django.db.models import Q

ASSISTANTS = "Teaching assistants"
ADMINISTRATORS = "Administrators"
APPS = ("core", "marketdata", "portfolios", "trading")
# Beyond looking: accounts of students, rosters, announcements and unlocking sign-ins.
ASSISTANT_MAY = (
    ("core", "add_user"),
    ("core", "change_user"),
    ("portfolios", "add_announcement"),
    ("axes", "view_accessattempt"),
    ("axes", "delete_accessattempt"),
)


@transaction.atomic
def sync() -> tuple[Group, Group]:
    """Creates both groups, or brings their permissions up to date. Safe to repeat."""
    assistants, _ = Group.objects.get_or_create(name=ASSISTANTS)
    administrators, _ = Group.objects.get_or_create(name=ADMINISTRATORS)
    ours = Permission.objects.filter(content_type__app_label__in=APPS)
    named = Q()
    for app_label, codename in ASSISTANT_MAY:
        named |= Q(content_type__app_label=app_label, codename=codename)
    assistants.permissions.set(
        [*ours.filter(codename__startswith="view_"), *Permission.objects.filter(named)]
    )
    administrators.permissions.set(
        [
            *ours.exclude(codename__startswith="delete_"),
            *Permission.objects.filter(codename="delete_newsitem"),
            *Permission.objects.filter(content_type__app_label="axes").exclude(
                Q(codename__startswith="add_") | Q(codename__startswith="change_")
            ),
        ]
    )
    return assistants, administrators
