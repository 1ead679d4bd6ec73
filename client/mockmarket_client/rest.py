"""The REST side, synchronous."""

import random
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode

import requests

from mockmarket_client.errors import ApiError
from mockmarket_client.models import (
    Alert,
    BoardRow,
    Candle,
    Gtt,
    Instrument,
    Leaderboard,
    Order,
    Point,
    Portfolio,
    Position,
    Quote,
    Trade,
)

TIMEOUT_SECONDS = 10.0
ATTEMPTS = 4
QUOTES_PER_CALL = 500
# Refusals that a later attempt may not meet; everything else is the caller's to handle.
RETRIED = {429, 502, 503, 504}


class Client:
    """A signed-in caller: with an API token, or with a name and password (JWT, refreshed by
    itself). Safe to share between threads."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
    ) -> None:
        if token is None and (username is None or password is None):
            raise ValueError("give a token, or a username and a password")
        self.url = url.rstrip("/")
        self._token = token
        self._sign_in = (username, password)
        self._refresh: str | None = None
        self._lock = threading.Lock()
        self._timeout = timeout
        self._session = requests.Session()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    # --- Market -------------------------------------------------------------------------
    def instruments(self, *, search: str = "", segment: str = "") -> Iterator[Instrument]:
        """Instruments by symbol; pages are fetched as they are needed."""
        query = {"search": search, "segment": segment}
        return (Instrument.parse(row) for row in self.pages("instruments/", query))

    def quotes(self, keys: Sequence[str]) -> dict[str, Quote]:
        """Quotes by key; keys without a price are missing."""
        found: dict[str, Quote] = {}
        for start in range(0, len(keys), QUOTES_PER_CALL):
            wanted = ",".join(keys[start : start + QUOTES_PER_CALL])
            body = self.call("GET", "quotes/", query={"instruments": wanted})
            found.update((key, Quote.parse(row)) for key, row in body["data"].items())
        return found

    def candles(
        self,
        key: str,
        *,
        interval: str = "1m",
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> list[Candle]:
        """Candles of [start, end), oldest first; the last may still be forming."""
        query = {"interval": interval}
        if start is not None:
            query["from"] = start.isoformat()
        if end is not None:
            query["to"] = end.isoformat()
        body = self.call("GET", f"instruments/{quote(key)}/candles/", query=query)
        return [
            Candle(
                start=datetime.fromisoformat(when),
                open=Decimal(opened),
                high=Decimal(high),
                low=Decimal(low),
                close=Decimal(close),
                volume=volume,
            )
            for when, opened, high, low, close, volume in body["candles"]
        ]

    def market_status(self) -> dict[str, Any]:
        """Source, status, phases, next opening."""
        found: dict[str, Any] = self.call("GET", "market/status/")
        return found

    # --- Portfolio ----------------------------------------------------------------------
    def portfolio(self, *, contest: str = "") -> Portfolio:
        """What the portfolio is worth now; the practice portfolio, if no contest is named."""
        return Portfolio.parse(self.call("GET", "portfolio/", query={"contest": contest}))

    def positions(self, *, contest: str = "") -> list[Position]:
        """Open positions, and those that this session closed."""
        return [Position.parse(row) for row in self.pages("positions/", {"contest": contest})]

    def equity(self, *, contest: str = "") -> list[Point]:
        """The equity curve, oldest first."""
        query = {"contest": contest, "limit": "500"}
        return [Point.parse(row) for row in self.pages("portfolio/equity/", query)]

    def trades(self, *, contest: str = "") -> Iterator[Trade]:
        """Fills, newest first."""
        return (Trade.parse(row) for row in self.pages("trades/", {"contest": contest}))

    def leaderboard(self, contest: str, *, board: str = "return", limit: int = 50) -> Leaderboard:
        """The head of a contest's board and the caller's own row."""
        body = self.call(
            "GET",
            f"contests/{quote(contest)}/leaderboard/",
            query={"board": board, "limit": str(limit)},
        )
        return Leaderboard(
            snapshot_id=body["snapshot_id"],
            as_of=datetime.fromisoformat(body["as_of"]),
            rows=tuple(BoardRow.parse(row) for row in body["results"]),
            me=BoardRow.parse(body["me"]) if body["me"] else None,
        )

    # --- Orders -------------------------------------------------------------------------
    def place_order(
        self,
        key: str,
        *,
        side: str,
        quantity: int,
        order_type: str = "MARKET",
        product: str = "CNC",
        price: Decimal | None = None,
        trigger_price: Decimal | None = None,
        client_order_id: str | None = None,
        contest: str | None = None,
        reason: str = "",
    ) -> Order:
        """Places an order once, however often the network makes this try."""
        body: dict[str, Any] = {
            "instrument_key": key,
            "side": side,
            "quantity": quantity,
            "order_type": order_type,
            "product": product,
            "client_order_id": client_order_id or uuid.uuid4().hex,
            "reason": reason,
        }
        optional = {"price": price, "trigger_price": trigger_price, "contest": contest}
        body.update({name: str(value) for name, value in optional.items() if value is not None})
        return Order.parse(self.call("POST", "orders/", body=body))

    def order(self, order_id: str) -> Order:
        """One order's present state."""
        return Order.parse(self.call("GET", f"orders/{quote(order_id)}/"))

    def orders(self, *, live: bool = False, contest: str = "") -> Iterator[Order]:
        """Orders, newest first."""
        query = {"contest": contest, "live": "true" if live else "false"}
        return (Order.parse(row) for row in self.pages("orders/", query))

    def modify_order(
        self, order_id: str, *, quantity: int | None = None, price: Decimal | None = None
    ) -> Order:
        """Changes a live order; what is None stays."""
        body: dict[str, Any] = {} if quantity is None else {"quantity": quantity}
        if price is not None:
            body["price"] = str(price)
        return Order.parse(self.call("PATCH", f"orders/{quote(order_id)}/", body=body))

    def cancel_order(self, order_id: str) -> Order:
        """Cancels what has not filled."""
        return Order.parse(self.call("DELETE", f"orders/{quote(order_id)}/"))

    # --- Watching -----------------------------------------------------------------------
    def place_gtt(
        self,
        key: str,
        *,
        side: str,
        quantity: int,
        lower: Decimal | None = None,
        upper: Decimal | None = None,
        product: str = "CNC",
        contest: str | None = None,
    ) -> Gtt:
        """Places an order by market when the price falls to `lower` or rises to `upper`."""
        legs = {"lower": lower, "upper": upper}
        body: dict[str, Any] = {
            "instrument_key": key,
            "side": side,
            "quantity": quantity,
            "product": product,
            "contest": contest,
            **{name: {"trigger": str(at)} for name, at in legs.items() if at is not None},
        }
        return Gtt.parse(self.call("POST", "gtt/", body=body))

    def gtts(self, *, contest: str = "") -> Iterator[Gtt]:
        """Instructions, newest first."""
        return (Gtt.parse(row) for row in self.pages("gtt/", {"contest": contest}))

    def cancel_gtt(self, gtt_id: str) -> Gtt:
        """The price is no longer watched."""
        return Gtt.parse(self.call("DELETE", f"gtt/{quote(gtt_id)}/"))

    def create_alert(self, key: str, *, kind: str, threshold: Decimal, note: str = "") -> Alert:
        """Be told on the stream when something happens, for example `PRICE_ABOVE`."""
        body = {"instrument_key": key, "kind": kind, "threshold": str(threshold), "note": note}
        return Alert.parse(self.call("POST", "alerts/", body=body))

    def alerts(self) -> Iterator[Alert]:
        """Alerts, newest first."""
        return (Alert.parse(row) for row in self.pages("alerts/", {}))

    def delete_alert(self, alert_id: int) -> None:
        """With what it reported."""
        self.call("DELETE", f"alerts/{alert_id}/")

    # --- Underneath ---------------------------------------------------------------------
    def authorization(self) -> str:
        """The header's value, signing in first where needed; also for the stream."""
        with self._lock:
            if self._token is None:
                self._renew()
            return f"Bearer {self._token}"

    def pages(self, path: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Every row of a list, page by page."""
        given = {name: value for name, value in query.items() if value}
        following: str | None = f"{self.url}/api/v1/{path}?{urlencode(given)}"
        while following:
            body = self._send("GET", following, None)
            yield from body["results"]
            following = body["next"]

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """One operation under /api/v1/. Raises ApiError."""
        given = {name: value for name, value in (query or {}).items() if value}
        url = f"{self.url}/api/v1/{path}" + (f"?{urlencode(given)}" if given else "")
        return self._send(method, url, body)

    def _send(self, method: str, url: str, body: Mapping[str, Any] | None) -> Any:
        # A repeated POST carries the same key, so that the server does it once.
        headers = {"Idempotency-Key": uuid.uuid4().hex} if method == "POST" else {}
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            headers["Authorization"] = self.authorization()
            try:
                answer = self._session.request(
                    method, url, json=body, headers=headers, timeout=self._timeout
                )
            except requests.ConnectionError:
                if last:
                    raise
                time.sleep(_pause(attempt))
                continue
            if answer.status_code < 400:
                return answer.json() if answer.content else None
            error = _error(answer)
            if error.status == 401 and self._expired() and not last:
                continue
            if error.status not in RETRIED or last:
                raise error
            time.sleep(error.retry_after or _pause(attempt))
        raise AssertionError("the last attempt returns or raises")

    def _expired(self) -> bool:
        """Forgets an expired JWT; False when the credential cannot be renewed."""
        with self._lock:
            if self._sign_in == (None, None):
                return False
            self._token = None
            return True

    def _renew(self) -> None:
        if self._refresh is not None:
            spent, self._refresh = self._refresh, None
            answer = self._token_call("auth/token/refresh/", {"refresh": spent})
            if answer.status_code == 200:
                self._keep(answer)
                return
        username, password = self._sign_in
        answer = self._token_call("auth/token/", {"username": username, "password": password})
        if answer.status_code != 200:
            raise _error(answer)
        self._keep(answer)

    def _token_call(self, path: str, body: Mapping[str, Any]) -> requests.Response:
        return self._session.post(f"{self.url}/api/v1/{path}", json=body, timeout=self._timeout)

    def _keep(self, answer: requests.Response) -> None:
        body = answer.json()
        self._token, self._refresh = body["access"], body["refresh"]


def _pause(attempt: int) -> float:
    """Full jitter under a growing ceiling, so that many clients do not come back together."""
    return random.uniform(0, min(10.0, 0.5 * 2**attempt))  # noqa: S311


def _error(answer: requests.Response) -> ApiError:
    try:
        body = answer.json()
    except ValueError:
        body = None
    header = answer.headers.get("Retry-After", "")
    return ApiError(
        status=answer.status_code,
        body=body,
        retry_after=float(header) if header.isdigit() else None,
    )
