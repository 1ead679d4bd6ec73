"""Upstox's REST endpoints over a source. Knows no sockets: a request in, an answer out."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from urllib.parse import unquote

from marketdata.exchange import envelope, history, news_rest
from marketdata.exchange.accounts import Accounts
from marketdata.exchange.derivatives_rest import DerivativesRest
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.hours import Hours
from marketdata.exchange.listing import BAND, Listing
from marketdata.exchange.records import Bar, Record
from marketdata.exchange.requests import Request
from marketdata.exchange.source import Source
from mockmarket.core.clock import IST

KEYS_MAX = 500


Handler = Callable[..., Awaitable[Answer]]


class Rest:
    """Market data endpoints. Raises Refusal for what Upstox refuses."""

    def __init__(self, source: Source) -> None:
        self._source = source
        derived, accounts = DerivativesRest(source), Accounts()
        # (pattern, needs a token, handler): the official SDK sends none to the open ones.
        self.routes: list[tuple[re.Pattern[str], bool, Handler]] = [
            (re.compile(pattern), secured, handler)
            for pattern, secured, handler in (
                (r"/v3/market-quote/ltp", True, self.ltp),
                (r"/v3/market-quote/ohlc", True, self.ohlc),
                (r"/v[23]/market-quote/quotes", True, self.quotes),
                (r"/v3/historical-candle/intraday/([^/]+)/([^/]+)/([^/]+)", False, self.intraday),
                (
                    r"/v3/historical-candle/([^/]+)/([^/]+)/([^/]+)/([^/]+)(?:/([^/]+))?",
                    False,
                    self.historical,
                ),
                (r"/v2/news", True, partial(news_rest.news, source)),
                (r"/v2/instruments/search", True, partial(news_rest.search, source)),
                (r"/v2/login/authorization/dialog", False, accounts.dialog),
                (r"/v2/login/authorization/token", False, accounts.token),
                (r"/v2/option/contract", True, derived.contracts),
                (r"/v2/option/chain", True, derived.chain),
                (r"/v3/market-quote/option-greek", True, derived.greeks),
                (
                    r"/market-quote/instruments/exchange/(\w+)\.json\.gz",
                    False,
                    derived.instruments,
                ),
                (r"/v2/market/status/([^/]+)", True, self.market_status),
                (r"/v2/market/timings/([^/]+)", False, self.timings),
                (r"/v2/market/holidays(?:/([^/]+))?", False, self.holidays),
            )
        ]

    # --- quotes ----------------------------------------------------------------------------
    async def ltp(self, request: Request) -> Answer:
        data = {}
        for listing, record in self._asked(request, too_many="UDAPI100043"):
            data[listing.label] = {
                "last_price": record.last_price,
                "instrument_token": listing.key,
                "ltq": record.last_quantity,
                "volume": record.volume,
                "cp": record.previous_close,
            }
        return envelope.success(data)

    async def ohlc(self, request: Request) -> Answer:
        interval = request.query.get("interval")
        if not interval:
            raise Refusal(400, "UDAPI1027", "interval is required")
        if interval not in {"1d", "I1", "I30"}:
            raise Refusal(400, "UDAPI1028", "Invalid interval")
        data = {}
        for listing, record in self._asked(request, too_many="UDAPI100043"):
            live, previous = self._bars(listing.key, record, interval, request.now_ms)
            data[listing.label] = {
                "last_price": record.last_price,
                "instrument_token": listing.key,
                "prev_ohlc": _ohlc(previous),
                "live_ohlc": _ohlc(live),
            }
        return envelope.success(data)

    def _bars(
        self, key: str, record: Record, interval: str, now_ms: int
    ) -> tuple[Bar | None, Bar | None]:
        """(forming, last completed) bar. The day has no completed one: Upstox sends null."""
        if interval == "1d":
            return record.day, None
        minutes = self._source.minute_bars(key=key, day=_day(now_ms), now_ms=now_ms)
        bars = history.fold_minutes(minutes, minutes=1 if interval == "I1" else 30)
        return (bars[-1] if bars else None), (bars[-2] if len(bars) > 1 else None)

    async def quotes(self, request: Request) -> Answer:
        third = request.path.startswith("/v3")
        data = {}
        for listing, record in self._asked(
            request, too_many="UDAPI100043" if third else "UDAPI100042"
        ):
            row = _full_quote(listing, record, request.now_ms)
            if third:
                row |= {
                    "prev_close_price": record.previous_close,
                    "year_high": None,
                    "year_low": None,
                    "previous_oi": None,
                    "indicative_equilibrium_price": record.indicative_price,
                    "reference_price": record.reference_price,
                    "indicative_equilibrium_quantity": record.indicative_quantity,
                    "indicative_imbalance_quantity_total": 0,
                    "indicative_imbalance_quantity_market": 0,
                    "cas_eligible": record.cas_eligible,
                }
            data[listing.label] = row
        return envelope.success(data)

    def _asked(self, request: Request, *, too_many: str) -> list[tuple[Listing, Record]]:
        """The listed instruments that a quote request names; unknown keys are left out."""
        # Docs say instrument_key; the SDK's v2 full quote sends the older name, symbol.
        text = request.query.get("instrument_key") or request.query.get("symbol") or ""
        keys = list(dict.fromkeys(key.strip() for key in text.split(",") if key.strip()))
        if not keys:
            raise Refusal(400, "UDAPI1009", "instrument_key is required")
        if any("|" not in key for key in keys):
            raise Refusal(400, "UDAPI1011", "instrument_key is of invalid format")
        if len(keys) > KEYS_MAX:
            raise Refusal(400, too_many, f"Maximum {KEYS_MAX} instrument keys are allowed")
        listed = [key for key in keys if key in self._source.listings]
        if not listed:
            raise Refusal(400, "UDAPI1087", "One of either symbol or instrument_key is invalid")
        records = self._source.records(keys=listed, now_ms=request.now_ms)
        return [(self._source.listings[record.key], record) for record in records]

    # --- candles ---------------------------------------------------------------------------
    async def intraday(self, request: Request, key: str, unit: str, interval: str) -> Answer:
        key = self._candle_key(key)
        count = history.parse_interval(unit, interval)
        today = _day(request.now_ms)
        if unit == "days":
            return _candles(self._source.day_bars(key=key, days=[today], now_ms=request.now_ms))
        if unit not in {"minutes", "hours"}:
            raise Refusal(400, "UDAPI1146", "Invalid unit")
        bars = self._source.minute_bars(key=key, day=today, now_ms=request.now_ms)
        return _candles(history.fold_minutes(bars, minutes=_minutes(unit, count)))

    async def historical(
        self,
        request: Request,
        key: str,
        unit: str,
        interval: str,
        to_text: str,
        from_text: str | None,
    ) -> Answer:
        key = self._candle_key(key)
        count = history.parse_interval(unit, interval)
        first, last = history.span(
            unit,
            count,
            to_date=history.parse_date(to_text),
            from_date=history.parse_date(from_text) if from_text else None,
        )
        today = _day(request.now_ms)
        last = min(last, today - timedelta(days=1))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        # A year of bars takes a second to compute: off the loop that sends the ticks.
        bars = await asyncio.to_thread(self._past, key, unit, count, days, request.now_ms)
        return _candles(bars)

    def _past(self, key: str, unit: str, count: int, days: list[date], now_ms: int) -> list[Bar]:
        if unit in {"minutes", "hours"}:
            return [
                bar
                for day in days
                for bar in history.fold_minutes(
                    self._source.minute_bars(key=key, day=day, now_ms=now_ms),
                    minutes=_minutes(unit, count),
                )
            ]
        bars = self._source.day_bars(key=key, days=days, now_ms=now_ms)
        return bars if unit == "days" else history.fold_days(bars, unit=unit)

    def _candle_key(self, text: str) -> str:
        key = unquote(text)
        if "|" not in key:
            raise Refusal(400, "UDAPI1021", "Instrument key is of invalid format")
        if key not in self._source.listings:
            raise Refusal(400, "UDAPI100011", "Invalid Instrument key")
        return key

    # --- the market ------------------------------------------------------------------------
    async def market_status(self, request: Request, exchange: str) -> Answer:
        if exchange not in {"NSE", "NFO", "CDS", "BSE", "BFO", "BCD", "MCX", "NSCOM"}:
            raise Refusal(400, "UDAPI1089", "Invalid exchange")
        phases = self._source.phases(now_ms=request.now_ms)
        segment = {"NFO": "NSE_FO", "BSE": "BSE_EQ", "BFO": "BSE_FO"}.get(exchange, "NSE_EQ")
        row: dict[str, object] = {
            "exchange": exchange,
            "status": phases.segments[segment],
            "last_updated": request.now_ms,
        }
        if segment in phases.closing_auction:
            row["cas_eligible_status"] = {
                "status": phases.closing_auction[segment],
                "last_updated": request.now_ms,
            }
        return envelope.success(row)

    async def timings(self, request: Request, text: str) -> Answer:
        day = _past_date(text)
        hours = self._source.hours
        if not hours.is_session(day):
            return envelope.success([])
        start, end = hours.start_ms(day), hours.close_ms(day)
        return envelope.success(
            [
                {"exchange": exchange, "start_time": start, "end_time": end}
                for exchange in ("NSE", "NFO", "BSE", "BFO")
            ]
        )

    async def holidays(self, request: Request, text: str | None) -> Answer:
        if text is not None:
            days = [_past_date(text)]
        else:
            year = _day(request.now_ms).year
            days = [
                date.fromordinal(n)
                for n in range(date(year, 1, 1).toordinal(), date(year + 1, 1, 1).toordinal())
            ]
        return envelope.success([row for day in days for row in _holiday(self._source.hours, day)])


def _holiday(hours: Hours, day: date) -> list[dict[str, object]]:
    """Upstox's row of a day that differs; weekends are no holidays in its list."""
    exchanges = ["NSE", "NFO", "BSE", "BFO"]
    rules = hours.calendar.days.get(day, ()) if hours.calendar is not None else ()
    if not rules:
        return []
    trades = hours.is_session(day)
    times = {"start_time": hours.start_ms(day), "end_time": hours.close_ms(day)}
    return [
        {
            "date": day.isoformat(),
            "description": rules[0].description,
            "holiday_type": "SPECIAL_TIMING" if trades else "TRADING_HOLIDAY",
            "closed_exchanges": [] if trades else exchanges,
            "open_exchanges": [{"exchange": name, **times} for name in exchanges if trades],
        }
    ]


def _candles(bars: list[Bar]) -> Answer:
    return envelope.success({"candles": history.rows(bars)})


def _minutes(unit: str, count: int) -> int:
    return count * 60 if unit == "hours" else count


def _day(now_ms: int) -> date:
    return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST).date()


def _past_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(400, "UDAPI1088", "Invalid date") from None


def _ohlc(bar: Bar | None) -> dict[str, float | int] | None:
    if bar is None:
        return None
    return {
        "open": bar.open,
        "high": bar.high,
        "low": bar.low,
        "close": bar.close,
        "volume": bar.volume,
        "ts": bar.start_ms,
    }


def _full_quote(listing: Listing, record: Record, now_ms: int) -> dict[str, object]:
    day = _ohlc(record.day) or {}
    close = record.previous_close
    stamp = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST)
    return {
        "ohlc": day,
        "depth": {"buy": _depth(record.bids), "sell": _depth(record.asks)},
        "timestamp": stamp.isoformat(timespec="milliseconds"),
        "instrument_token": listing.key,
        "symbol": listing.symbol,
        "last_price": record.last_price,
        "volume": record.volume,
        "average_price": record.average_price,
        "oi": record.open_interest,
        "net_change": round(record.last_price - close, 2) if close else 0.0,
        "total_buy_quantity": record.total_bid_quantity,
        "total_sell_quantity": record.total_ask_quantity,
        "lower_circuit_limit": _on_tick(close * (1 - BAND), listing.tick),
        "upper_circuit_limit": _on_tick(close * (1 + BAND), listing.tick),
        "last_trade_time": str(record.last_trade_ms),
        "oi_day_high": record.open_interest,
        "oi_day_low": record.open_interest,
    }


def _depth(levels: tuple[tuple[float, int], ...] | None) -> list[dict[str, float | int]]:
    """Exactly five levels, padded with zeros."""
    filled = [{"quantity": q, "price": p, "orders": 1 + q % 7} for p, q in (levels or ())[:5]]
    return [*filled, *({"quantity": 0, "price": 0.0, "orders": 0} for _ in range(5 - len(filled)))]


def _on_tick(price: float, tick: float) -> float:
    return round(round(price / tick) * tick, 2)
