"""What a fill stores so that it can be decided again, and the way back. Pure.

Prices are text, quantities and times are numbers: JSON loses nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketdata.quotes import Level
from trading.matching import Decision, Market, Settings, Working, match


@dataclass(frozen=True, slots=True)
class Look:
    """One look of one order at the market: everything `match` is a function of."""

    order: Working
    market: Market
    offers: tuple[Level, ...] | None
    traded: int
    settings: Settings
    now_ms: int

    def decide(self) -> Decision:
        """What the matcher makes of it."""
        return match(
            order=self.order,
            market=self.market,
            offers=self.offers,
            traded=self.traded,
            settings=self.settings,
            now_ms=self.now_ms,
        )


def quote_json(market: Market) -> dict[str, Any]:
    """A fill's `quote`: times, source, phase, band and the displayed levels."""
    return {
        "instrument_key": market.instrument_key,
        "tick_size": str(market.tick_size),
        "phase": market.phase,
        "source": market.source,
        "received_ms": market.received_ms,
        "exchange_ms": market.exchange_ms,
        "last_price": _text(market.last_price),
        "volume": market.volume,
        "bids": _levels_json(market.bids),
        "asks": _levels_json(market.asks),
        "book_received_ms": market.book_received_ms,
        "band_low": _text(market.band_low),
        "band_high": _text(market.band_high),
    }


def inputs_json(look: Look, *, step: int) -> dict[str, Any]:
    """A fill's `inputs`; `step` counts the fills of one decision from 0."""
    order, settings = look.order, look.settings
    return {
        "step": step,
        "now_ms": look.now_ms,
        "traded": look.traded,
        "offers": None if look.offers is None else _levels_json(look.offers),
        "order": {
            "buy": order.buy,
            "quantity": order.quantity,
            "filled": order.filled,
            "limit": _text(order.limit),
            "market": order.market,
            "ioc": order.ioc,
            "trigger": _text(order.trigger),
            "triggered": order.triggered,
            "armed": order.armed,
            "resting": order.resting,
        },
        "settings": {
            "quote_age_ms_max": settings.quote_age_ms_max,
            "participation": str(settings.participation),
            "half_spread_bps": str(settings.half_spread_bps),
            "slippage_bps_per_percent": str(settings.slippage_bps_per_percent),
            "volume_share_max": str(settings.volume_share_max),
        },
    }


def look_of(*, quote: Mapping[str, Any], inputs: Mapping[str, Any]) -> Look:
    """The look that a stored fill came from."""
    order, settings = inputs["order"], inputs["settings"]
    offers = inputs["offers"]
    return Look(
        order=Working(
            buy=order["buy"],
            quantity=order["quantity"],
            filled=order["filled"],
            limit=_decimal(order["limit"]),
            market=order["market"],
            ioc=order["ioc"],
            trigger=_decimal(order["trigger"]),
            triggered=order["triggered"],
            armed=order["armed"],
            resting=order["resting"],
        ),
        market=Market(
            instrument_key=quote["instrument_key"],
            tick_size=Decimal(quote["tick_size"]),
            phase=quote["phase"],
            source=quote["source"],
            received_ms=quote["received_ms"],
            exchange_ms=quote["exchange_ms"],
            last_price=_decimal(quote["last_price"]),
            volume=quote["volume"],
            bids=_levels(quote["bids"]),
            asks=_levels(quote["asks"]),
            book_received_ms=quote["book_received_ms"],
            band_low=_decimal(quote["band_low"]),
            band_high=_decimal(quote["band_high"]),
        ),
        offers=None if offers is None else _levels(offers),
        traded=inputs["traded"],
        settings=Settings(
            quote_age_ms_max=settings["quote_age_ms_max"],
            participation=Decimal(settings["participation"]),
            half_spread_bps=Decimal(settings["half_spread_bps"]),
            slippage_bps_per_percent=Decimal(settings["slippage_bps_per_percent"]),
            volume_share_max=Decimal(settings["volume_share_max"]),
        ),
        now_ms=inputs["now_ms"],
    )


def _levels_json(levels: Sequence[Level]) -> list[list[Any]]:
    return [[_text(level.price), level.quantity] for level in levels]


def _levels(stored: Sequence[Sequence[Any]]) -> tuple[Level, ...]:
    return tuple(Level(Decimal(price), int(quantity)) for price, quantity in stored)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
