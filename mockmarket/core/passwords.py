"""Changing one's password: other sessions and every open socket end with the old one."""

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from mockmarket.core import bus
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User


class WrongPassword(DomainError):
    """The present password does not match."""

    code = "wrong_password"


class WeakPassword(DomainError):
    """The validators of settings.AUTH_PASSWORD_VALIDATORS refuse it."""

    code = "weak_password"


def change(*, user: User, current: str, new: str) -> None:
    """Set a new password. Raises WrongPassword, WeakPassword.

    Django ends the user's other sessions by itself, as their hash no longer matches, and JWTs
    carry a mark of it; open sockets were authenticated once and must be told.
    """
    if not user.check_password(current):
        message = "This is not your password."
        raise WrongPassword(message, fields={"current": message})
    try:
        validate_password(new, user)
    except ValidationError as refused:
        message = " ".join(refused.messages)
        raise WeakPassword(message, fields={"new": message}) from None
    with transaction.atomic():
        user.set_password(new)
        user.save(update_fields=["password"])
        transaction.on_commit(lambda: end_sockets(user=user))


def end_sockets(*, user: User, reason: str = "password changed") -> None:
    """Close every socket of the user."""
    bus.close_sockets(user_id=user.pk, reason=reason)
