"""What users may change of their own account."""

from django.db import transaction

from mockmarket.core.errors import DomainError
from mockmarket.core.models import User

ALIAS_LENGTH_MAX = 30


class AliasTaken(DomainError):
    """Somebody else is shown by this name."""

    code = "alias_taken"
    status = 409


def change(
    *,
    user: User,
    alias: str | None = None,
    theme: str | None = None,
    colour_blind: bool | None = None,
) -> User:
    """Keep what is given; None leaves a field as it is. Raises AliasTaken."""
    given = {"alias": alias, "theme": theme, "colour_blind": colour_blind}
    changed = {name: value for name, value in given.items() if value is not None}
    with transaction.atomic():
        if alias is not None:
            changed["alias"] = _free_alias(user=user, alias=alias)
        for name, value in changed.items():
            setattr(user, name, value)
        # What another tab has changed meanwhile stays.
        user.save(update_fields=[*changed])
    return user


def _free_alias(*, user: User, alias: str) -> str:
    alias = " ".join(alias.split())
    if alias and User.objects.filter(alias__iexact=alias).exclude(pk=user.pk).exists():
        message = "Somebody else has this name."
        raise AliasTaken(message, fields={"alias": message})
    return alias
