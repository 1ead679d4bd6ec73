"""The periodic sweep of option chains and their closes: what is due, in turn, within limits."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from marketdata import broker, fetching, selectors, sessions
from marketdata.options import services
from marketdata.options.selectors import session_date
from marketdata.options.sweep import UnreadableChain
from marketdata.upstox import rest
from mockmarket.core import clock

log = structlog.get_logger(__name__)

MARKET: Final = "NSE_FO"
CLOSE_DUE_AFTER: Final = timedelta(minutes=1)
# A turn ends before the next minute's begins; what is left over is then the longest unswept.
TURN_SECONDS_MAX: Final = 45.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn did."""

    swept: int
    failed: int


def sweep_due(*, at: datetime, source: services.ChainSource | None = None) -> Turn:
    """Sweep the chains that are due at `at`, one call each, and stop at a closed door.

    Outside the service window of futures and options nothing is asked.
    """
    calendar = selectors.calendar()
    if not sessions.in_service(market=MARKET, at=at, calendar=calendar):
        return Turn(0, 0)
    if fetching.token_refused():
        return Turn(0, 0)
    swept = failed = 0
    started = clock.monotonic()
    client = source or rest.Client(token=broker.current_token)
    for underlying, expiry in services.due(at=at):
        if clock.monotonic() - started > TURN_SECONDS_MAX:
            break
        try:
            services.sweep_chain(source=client, underlying=underlying, expiry_date=expiry, at=at)
            swept += 1
        except rest.Unauthorised as error:
            fetching.refuse_token(message=str(error), at=at)
            return Turn(swept, failed + 1)
        except (rest.UpstoxError, UnreadableChain) as error:
            failed += 1
            log.warning("option chain failed", underlying=underlying.symbol, error=str(error))
    return Turn(swept, failed)


def close_due(*, at: datetime) -> int:
    """Keep the closing chains of a session that has ended today. Returns how many are new."""
    day = session_date(at)
    close = sessions.final_close(market=MARKET, day=day, calendar=selectors.calendar())
    if close is None or at < close + CLOSE_DUE_AFTER:
        return 0
    return services.record_closes(at=at)
