"""Client of Upstox's REST API: quotes as ticks, candles, market facts, options.

Every call takes its turn in the shared limiter, has a timeout, names itself (Python's default
user agent is refused by Upstox's front), and turns the error envelope into a named error.
"""

import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

import msgspec
import requests
from django.conf import settings

from marketdata.quotes import Levels, Tick
from marketdata.upstox.limiter import Limiter, QuotaExhausted
from mockmarket.core import clock

logger = logging.getLogger(__name__)

USER_AGENT: Final = "MockMarket/1 (+campus paper trading)"
KEYS_MAX: Final = 500
TIMEOUT_SECONDS: Final = (5.0, 15.0)  # connect, read
TRIES_MAX: Final = 4
PAUSE_SECONDS_MAX: Final = 8.0
_RETRIED: Final = frozenset({429, 500, 502, 503, 504})


class UpstoxError(Exception):
    """Upstox refused or could not answer. `code` is its UDAPI code, "" when it gave none."""

    def __init__(self, message: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Unauthorised(UpstoxError):
    """The token is not valid; no retry can help, somebody must connect Upstox again."""


class RateLimited(UpstoxError):
    """Still refused for too many calls, or our own limiter has no room."""


class Unavailable(UpstoxError):
    """No answer, or only server errors, after all tries."""


@dataclass(frozen=True, slots=True)
class CandleRow:
    """One candle as Upstox gives it: rupees, units, `start` aware."""

    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    open_interest: float


class Client:
    """One `requests` session with the token and the limiter. Not for several threads at once.

    `base_url` and `token` default to the settings; `token` may be a callable. A caller that
    somebody waits for takes one try and a short `timeout` (connect, read; seconds).
    """

    def __init__(
        self,
        *,
        base_url: str | None = None,
        token: str | Callable[[], str] | None = None,
        limiter: Limiter | None = None,
        sleep: Callable[[float], None] = time.sleep,
        tries: int = TRIES_MAX,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
    ) -> None:
        self._base_url = (base_url or settings.UPSTOX_REST_URL).rstrip("/")
        self._token = token if token is not None else settings.UPSTOX_ACCESS_TOKEN
        self._limiter = limiter or Limiter()
        self._sleep = sleep
        self._tries = tries
        self._timeout = timeout
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})

    # --- quotes ------------------------------------------------------------------------------
    def quotes(self, keys: Sequence[str]) -> list[Tick]:
        """Full quotes with five levels; splits into calls of 500. Unknown keys are left out."""
        return [
            _quote_tick(row, received_ms)
            for rows, received_ms in self._by_keys("/v2/market-quote/quotes", keys)
            for row in rows
        ]

    def ltp(self, keys: Sequence[str]) -> list[Tick]:
        """Last price, volume and previous close; splits into calls of 500."""
        return [
            Tick(
                instrument_key=row["instrument_token"],
                exchange_ms=received_ms,
                received_ms=received_ms,
                source="rest",
                last_price=row.get("last_price") or None,
                last_quantity=row.get("ltq") or None,
                volume=row.get("volume") or None,
                previous_close=row.get("cp") or None,
            )
            for rows, received_ms in self._by_keys("/v3/market-quote/ltp", keys)
            for row in rows
        ]

    def _by_keys(self, path: str, keys: Sequence[str]) -> list[tuple[list[dict[str, Any]], int]]:
        answers = []
        for start in range(0, len(keys), KEYS_MAX):
            chunk = keys[start : start + KEYS_MAX]
            data = self.get(path, instrument_key=",".join(chunk))
            answers.append((list((data or {}).values()), clock.now_ms()))
        return answers

    # --- candles -----------------------------------------------------------------------------
    def candles(
        self, *, key: str, unit: str, interval: int, to_date: date, from_date: date | None = None
    ) -> list[CandleRow]:
        """Completed sessions, oldest first, both dates inclusive.

        `unit` is minutes, hours, days, weeks or months. Upstox's longest span for one call is a
        month of 1 to 15 minutes, a quarter of more, ten years of days.
        """
        path = f"/v3/historical-candle/{quote(key, safe='')}/{unit}/{interval}/{to_date}"
        data = self.get(f"{path}/{from_date}" if from_date else path)
        return _candle_rows(data)

    def intraday(self, *, key: str, unit: str = "minutes", interval: int = 1) -> list[CandleRow]:
        """The session under way, oldest first; the last candle may still be forming."""
        return _candle_rows(
            self.get(f"/v3/historical-candle/intraday/{quote(key, safe='')}/{unit}/{interval}")
        )

    # --- the market --------------------------------------------------------------------------
    def market_status(self, exchange: str = "NSE") -> dict[str, Any]:
        """{exchange, status (a MarketStatus name), last_updated in ms}."""
        return dict(self.get(f"/v2/market/status/{exchange}"))

    def timings(self, day: date) -> list[dict[str, Any]]:
        """[{exchange, start_time, end_time in ms}]; empty on a full holiday."""
        return list(self.get(f"/v2/market/timings/{day}"))

    def holidays(self) -> list[dict[str, Any]]:
        """This year's rows: date, description, holiday_type, closed and open exchanges."""
        return list(self.get("/v2/market/holidays"))

    # --- options -----------------------------------------------------------------------------
    def option_contracts(self, underlying: str) -> list[dict[str, Any]]:
        """All option contracts of an underlying's key, as Upstox names their fields."""
        return list(self.get("/v2/option/contract", instrument_key=underlying))

    def option_chain(self, underlying: str, expiry: date) -> list[dict[str, Any]]:
        """One row a strike: spot, pcr and the call's and put's market data and greeks.

        `iv` is in percent here, a fraction on the feed.
        """
        return list(
            self.get("/v2/option/chain", instrument_key=underlying, expiry_date=expiry.isoformat())
        )

    def news(self, keys: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """News of up to 30 instruments: key → [{heading, summary, thumbnail, article_link,
        published_time in ms}]."""
        return dict(
            self.get(
                "/v2/news",
                category="instrument_keys",
                instrument_keys=",".join(keys[:30]),
                page_size="100",
            )
        )

    # --- the call ----------------------------------------------------------------------------
    def get(self, path: str, **params: str) -> Any:
        """The `data` of a GET. Raises UpstoxError's subclasses; retries 429, 5xx, no answer."""
        error: UpstoxError = Unavailable("never tried")
        for attempt in range(self._tries):
            if attempt:
                self._pause(attempt, error)
            try:
                self._limiter.acquire()
                response = self._session.get(
                    f"{self._base_url}{path}",
                    params=params,
                    timeout=self._timeout,
                    headers={"Authorization": f"Bearer {self._current_token()}"},
                    allow_redirects=False,
                )
            except QuotaExhausted as exhausted:
                raise RateLimited(str(exhausted)) from exhausted
            except requests.RequestException as failure:
                # The failure's own text holds the whole address with every key.
                error = Unavailable(f"{path}: {_kind(failure)}")
                continue
            if response.status_code == 200:
                return _data(response)
            error = _error(path, response)
            if response.status_code not in _RETRIED:
                raise error
        raise error

    def _current_token(self) -> str:
        return self._token() if callable(self._token) else self._token

    def _pause(self, attempt: int, error: UpstoxError) -> None:
        longest = min(PAUSE_SECONDS_MAX, 0.5 * 2.0**attempt)
        pause = random.uniform(0, longest)  # noqa: S311
        logger.info("Upstox: %s; try %d in %.1f s", error, attempt + 1, pause)
        self._sleep(pause)


def _kind(failure: requests.RequestException) -> str:
    """What kept a call from an answer, without its address."""
    if isinstance(failure, requests.Timeout):
        return "timed out"
    if isinstance(failure, requests.ConnectionError):
        return "no connection"
    return type(failure).__name__


def _data(response: requests.Response) -> Any:
    try:
        body = msgspec.json.decode(response.content)
    except msgspec.DecodeError as error:
        raise UpstoxError("the answer is not JSON", status=response.status_code) from error
    if not isinstance(body, Mapping) or body.get("status") != "success":
        raise UpstoxError("the answer has no success envelope", status=response.status_code)
    return body.get("data")


def _error(path: str, response: requests.Response) -> UpstoxError:
    """The named error of an answer: {"errors": [{"errorCode" or "error_code", "message"}]}."""
    code, message = "", response.reason or "no reason given"
    try:
        first = msgspec.json.decode(response.content)["errors"][0]
        code = first.get("errorCode") or first.get("error_code") or ""
        message = first.get("message") or message
    except (msgspec.DecodeError, LookupError, TypeError, AttributeError):
        # Not Upstox's envelope: a proxy's page, say. The status tells enough.
        pass
    status = response.status_code
    kind = {401: Unauthorised, 429: RateLimited}.get(status, UpstoxError)
    if status >= 500:
        kind = Unavailable
    return kind(f"{path}: {status} {code} {message}", code=code, status=status)


def _candle_rows(data: Any) -> list[CandleRow]:
    return [
        CandleRow(
            start=datetime.fromisoformat(row[0]),
            open=float(row[1]),
            high=float(row[2]),
            low=float(row[3]),
            close=float(row[4]),
            volume=int(row[5]),
            open_interest=float(row[6]),
        )
        for row in reversed((data or {}).get("candles") or [])
    ]


def _quote_tick(row: dict[str, Any], received_ms: int) -> Tick:
    """A full quote. Upstox's zeros stand for what it does not know."""
    day = row.get("ohlc") or {}
    last = row.get("last_price") or None
    change = row.get("net_change")
    stamp = row.get("timestamp")
    exchange_ms = clock.to_ms(datetime.fromisoformat(stamp)) if stamp else received_ms
    depth = row.get("depth") or {}
    trade_ms = row.get("last_trade_time")
    return Tick(
        instrument_key=row["instrument_token"],
        exchange_ms=min(exchange_ms, received_ms),
        received_ms=received_ms,
        source="rest",
        last_price=last,
        last_trade_ms=int(trade_ms) if trade_ms and str(trade_ms).isdigit() else None,
        # The v2 quote has no previous close of its own: it is what the change counts from.
        previous_close=round(last - change, 4) if last and change is not None else None,
        open=day.get("open") or None,
        high=day.get("high") or None,
        low=day.get("low") or None,
        volume=row.get("volume") or None,
        average_price=row.get("average_price") or None,
        bids=_levels(depth.get("buy")),
        asks=_levels(depth.get("sell")),
        open_interest=row.get("oi") or None,
        total_bid_quantity=row.get("total_buy_quantity") or None,
        total_ask_quantity=row.get("total_sell_quantity") or None,
    )


def _levels(rows: list[dict[str, Any]] | None) -> Levels | None:
    """Depth padded with zeros to five levels, without the padding."""
    if rows is None:
        return None
    return tuple(
        (float(row["price"]), int(row["quantity"]))
        for row in rows
        if row.get("price") and row.get("quantity")
    )
