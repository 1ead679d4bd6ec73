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
    with transaction.atomic():
        if alias is not None:
            user.alias = _free_alias(user=user, alias=" ".join(alias.split()))
        if theme is not None:
            user.theme = User.Theme(theme)
        if colour_blind is not None:
            user.colour_blind = colour_blind
        user.save(update_fields=["alias", "theme", "colour_blind"])
    return user


def _free_alias(*, user: User, alias: str) -> str:
    if alias and User.objects.filter(alias__iexact=alias).exclude(pk=user.pk).exists():
        message = "Somebody else has this name."
        raise AliasTaken(message, fields={"alias": message})
    return alias
