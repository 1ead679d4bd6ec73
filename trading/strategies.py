"""Several options of one expiry as one strategy: what all its legs together would hold back."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import numpy as np
from django.utils.translation import gettext as _

from marketdata.models import Instrument
from marketdata.options.chain import Chain
from mockmarket.core.errors import DomainError
from mockmarket.core.money import ZERO, notional
from trading import span

LEGS_MAX: Final = 8
LOTS_MAX: Final = 1_000


class InvalidStrategy(DomainError):
    """A leg that the chain does not have, or that has no price yet."""

    code = "invalid_strategy"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A leg as somebody names it: CE or PE, the strike, and signed lots (negative: sold)."""

    kind: str
    strike: float
    lots: int
    name: str


@dataclass(frozen=True, slots=True)
class StrategyMargin:
    """Rupees. `premium` is what all legs cost together; negative is received."""

    span: Decimal
    exposure: Decimal
    premium: Decimal

    @property
    def total(self) -> Decimal:
        return self.span + self.exposure


def margin(*, underlying: Instrument, chain: Chain, wanted: Sequence[Wanted]) -> StrategyMargin:
    """The margin of all legs together, so that hedges count. Raises InvalidStrategy."""
    if len(wanted) > LEGS_MAX:
        message = _("A strategy has at most %(most)s legs.") % {"most": LEGS_MAX}
        raise InvalidStrategy(message, fields={"legs": message})
    if not chain.spot > 0:
        raise InvalidStrategy(_("%(leg)s has no price yet.") % {"leg": underlying.symbol})
    legs = [_leg(one, chain) for one in wanted]
    index = underlying.segment.endswith("_INDEX")
    found = span.margin(legs, spot=chain.spot, parameters=span.INDEX if index else span.SHARE)
    return StrategyMargin(
        span=found.span,
        exposure=found.exposure,
        premium=sum(
            (
                notional(price=Decimal(str(round(leg.price, 2))), quantity=leg.quantity)
                for leg in legs
            ),
            ZERO,
        ),
    )


def _leg(wanted: Wanted, chain: Chain) -> span.Leg:
    row = np.flatnonzero(chain.strikes == wanted.strike)
    side = {"CE": chain.calls, "PE": chain.puts}.get(wanted.kind)
    if side is None or not row.size or not 0 < abs(wanted.lots) <= LOTS_MAX:
        message = _("“%(leg)s” is not a leg of this chain.") % {"leg": wanted.name}
        raise InvalidStrategy(message, fields={"legs": message})
    price, volatility = float(side.middle[row[0]]), float(side.volatility[row[0]])
    if not np.isfinite(price):
        message = _("%(leg)s has no price yet.") % {"leg": wanted.name}
        raise InvalidStrategy(message, fields={"legs": message})
    return span.Leg(
        kind="CE" if wanted.kind == "CE" else "PE",
        quantity=wanted.lots * chain.lot_size,
        price=price,
        years=chain.years,
        strike=wanted.strike,
        volatility=volatility if np.isfinite(volatility) else 0.0,
    )
