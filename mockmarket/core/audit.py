"""The audit log: who changed what, when and why. Its rows are never changed or removed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Model

from mockmarket.core.errors import DomainError
from mockmarket.core.models import AuditEntry, User

REASON_MAX = 500


class ReasonRequired(DomainError):
    """An action of staff that came without a reason."""

    code = "reason_required"


class OutsideTransaction(RuntimeError):
    """An audit entry belongs to the transaction of the change that it records."""


def audit(
    *,
    actor: User | None,
    action: str,
    target: Model,
    reason: str,
    at: datetime,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> AuditEntry:
    """Record one change in the transaction that makes it. `before` and `after` hold JSON types.

    `actor` None is the system itself. Raises ReasonRequired for an empty reason: a blank is
    refused here, so that no interface can forget to ask.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction(f"{action} is recorded outside the transaction that makes it")
    if not (reason := reason.strip()):
        raise ReasonRequired("Say why.", fields={"reason": "Say why."})
    return AuditEntry.objects.create(
        at=at,
        actor=actor,
        action=action,
        object_type=target._meta.model_name or "",
        object_id=str(target.pk),
        reason=reason[:REASON_MAX],
        before=dict(before or {}),
        after=dict(after or {}),
    )
