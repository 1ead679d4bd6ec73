"""Staff halt the trading of a share and let it go on."""

from datetime import datetime

from django.db import transaction

from marketdata.models import Instrument
from mockmarket.core import bus
from mockmarket.core.audit import audit
from mockmarket.core.models import User

HALT_REASON_MAX = 200  # what the column takes


def set_halt(
    *, instrument: Instrument, halted: bool, reason: str, actor: User, at: datetime
) -> Instrument:
    """Halt or resume trading in an instrument; students read the reason of a halt.

    No order is accepted or filled meanwhile; those that wait are kept. Raises ReasonRequired.
    """
    with transaction.atomic():
        locked = Instrument.objects.select_for_update(of=("self",)).get(pk=instrument.pk)
        before = locked.halted
        locked.halted = halted
        locked.halt_reason = reason.strip()[:HALT_REASON_MAX] if halted else ""
        locked.save(update_fields=["halted", "halt_reason"])
        audit(
            actor=actor,
            action="instrument.halt" if halted else "instrument.resume",
            target=locked,
            reason=reason,
            at=at,
            before={"halted": before},
            after={"halted": halted},
        )
        bus.wake_engine("contests")  # the desk reads every order again
    return locked
