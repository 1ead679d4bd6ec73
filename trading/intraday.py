"""When intraday (MIS) positions are squared off, by the contest's rules and the calendar."""

from datetime import UTC, date, datetime, time

from marketdata import selectors as market
from marketdata import sessions
from mockmarket.core.clock import IST
from mockmarket.core.errors import DomainError
from portfolios.contests import Rules

# A market that never closes ends its day at midnight; intraday trading ends shortly before.
ALWAYS_OPEN_TIME = time(23, 50)


class IntradayClosed(DomainError):
    """Today's intraday positions are being squared off; new ones are refused."""

    code = "intraday_closed"
    status = 409


def square_off_at(*, market_name: str, rules: Rules, session: date) -> datetime:
    """When MIS positions of a market are squared off in a session."""
    if market.calendar().always_open:
        clock_time = ALWAYS_OPEN_TIME
    else:
        derivative = market_name.endswith("_FO")
        text = rules.square_off_fo if derivative else rules.square_off
        clock_time = time.fromisoformat(text)
        clock_time = min(clock_time, _last_minute(market_name, session) or clock_time)
    return datetime.combine(session, clock_time, IST).astimezone(UTC)


def _last_minute(market_name: str, session: date) -> time | None:
    """Five minutes before continuous trading ends: a short session squares off earlier."""
    parts = sessions.continuous(market=market_name, day=session, calendar=market.calendar())
    if not parts:
        return None
    end = parts[-1][1].astimezone(IST)
    minutes = end.hour * 60 + end.minute - 5
    return time(minutes // 60, minutes % 60)


def check_open(*, market_name: str, rules: Rules, session: date, at: datetime) -> None:
    """Raises IntradayClosed from the square-off on until the next session."""
    due = square_off_at(market_name=market_name, rules=rules, session=session)
    if at >= due:
        local = due.astimezone(IST)
        message = f"Intraday trading ended at {local:%H:%M}. Use delivery, or come back tomorrow."
        raise IntradayClosed(message, fields={"product": message})
