"""Tell the simulated exchange of a split: its prices follow. A real exchange knows by itself."""

from fractions import Fraction
from typing import Any, Final

import requests
import structlog
from django.conf import settings

from mockmarket.core.errors import DomainError
from trading.models import CorporateAction

TIMEOUT_SECONDS: Final = 5
PATH: Final = "/simulator/splits"

log = structlog.get_logger(__name__)


class ExchangeAway(DomainError):
    """The simulated exchange does not answer; what is half done goes on with the next try."""

    code = "exchange_away"
    status = 503


def adjust(*, action: CorporateAction, factor: Fraction) -> None:
    """Divide the share's simulated prices. Safe to repeat. Raises ExchangeAway."""
    _tell(
        "POST",
        {
            "id": f"action:{action.pk}",
            "key": action.instrument.key,
            "numerator": factor.numerator,
            "denominator": factor.denominator,
        },
    )


def restore(*, action: CorporateAction) -> None:
    """Undo `adjust`. Raises ExchangeAway."""
    _tell("DELETE", {"id": f"action:{action.pk}"})


def _tell(method: str, message: dict[str, Any]) -> None:
    if settings.MARKET_SOURCE != "simulated":
        return
    try:
        answer = requests.request(
            method, settings.UPSTOX_REST_URL + PATH, json=message, timeout=TIMEOUT_SECONDS
        )
        answer.raise_for_status()
    except requests.RequestException as error:
        log.warning("the simulated exchange was not told of a split", error=str(error))
        raise ExchangeAway("The simulated exchange does not answer. Try again.") from None
