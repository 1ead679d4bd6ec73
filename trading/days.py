"""Whether a market's day is over for orders and positions."""

from datetime import date, datetime, timedelta
from typing import Final

from marketdata import selectors as market
from marketdata import sessions

# The engine matches the closing auction in its first seconds; orders expire after that.
MATCH_GRACE: Final = timedelta(minutes=1)


def day_over(*, market_name: str, session: date, at: datetime) -> bool:
    """Whether a session has seen its last match: its orders can fill no more."""
    calendar = market.calendar()
    if sessions.session_date(market=market_name, at=at, calendar=calendar) > session:
        return True
    if calendar.always_open:
        return False
    close = sessions.final_close(market=market_name, day=session, calendar=calendar)
    return close is not None and at >= close + MATCH_GRACE
