"""The option chain's page: the merged chain, its figures, and strategies with their margin."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import numpy as np
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET

from marketdata import selectors as market
from marketdata.models import Instrument
from marketdata.options import analytics, selectors, surroundings, trial
from marketdata.options.chain import Chain, Side
from marketdata.options.live import topic_of
from mockmarket.core import clock
from trading import strategies

RANGES: Final = {"10": 10, "20": 20, "all": 10_000}

BUILD_UPS: Final = {
    "long_build_up": (gettext_lazy("Long build-up"), "up"),
    "short_build_up": (gettext_lazy("Short build-up"), "down"),
    "short_covering": (gettext_lazy("Short covering"), "up"),
    "long_unwinding": (gettext_lazy("Long unwinding"), "down"),
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One contract of the chain as the page shows it; None is unknown."""

    row: int
    key: str
    last_price: float | None
    bid: float | None
    ask: float | None
    volume: float | None
    open_interest: float | None
    open_interest_change: float | None
    share: float
    volatility: float | None
    delta: float | None
    build_up: tuple[object, str] | None
    in_the_money: bool
    price_at: datetime | None


@login_required
@require_GET
def options_home(request: HttpRequest) -> HttpResponse:
    """The first underlying's chain, or what to do when no contracts are known."""
    first = next(iter(selectors.underlyings()), None)
    if first is None:
        return render(request, "trading/options_none.html")
    return redirect("options", symbol=first.symbol)


@login_required
@require_GET
def options(request: HttpRequest, symbol: str) -> HttpResponse:
    """The chain of one underlying and expiry."""
    at = clock.now()
    underlying = market.instrument_by_symbol(symbol)
    expiries = selectors.expiries(underlying=underlying, at=at)
    if not expiries:
        return render(request, "trading/options_none.html", {"underlying": underlying})
    expiry = _chosen_expiry(request, expiries)
    chain = selectors.live_chain(underlying=underlying, expiry_date=expiry, at=at)
    analysis = selectors.analysis(underlying=underlying, chain=chain, at=at)
    shown = request.GET.get("range", "10")
    rows = _rows(chain, around=RANGES.get(shown, 10))
    terms = surroundings.term_structure(underlying=underlying, at=at, known=chain)
    context = {
        "underlying": underlying,
        "quote": market.quote(underlying.key, at),
        "underlyings": selectors.underlyings(),
        "expiries": expiries,
        "expiry": expiry,
        "ranges": [("10", _("20 strikes")), ("20", _("40 strikes")), ("all", _("All"))],
        "range": shown if shown in RANGES else "10",
        "rows": rows,
        "lot_size": chain.lot_size,
        "days": chain.years * 365,
        "figures": analysis,
        "percent": _percentages(analysis),
        "trial": _trial(),
        "interest_age": _age(chain.interest_at, at),
        "presets": [
            ("straddle", _("Straddle")),
            ("strangle", _("Strangle")),
            ("spread", _("Call spread")),
            ("condor", _("Iron condor")),
        ],
        "topic": topic_of(underlying.key, expiry),
        "futures": _futures(underlying, at=at),
        "spikes": surroundings.volume_spikes(underlying=underlying, chain=chain, at=at),
        "yesterday": surroundings.yesterday(underlying=underlying, spot=chain.spot, at=at),
        "terms": [(day, volatility * 100) for day, volatility in terms],
        "chart": {
            **_chart(chain, underlying),
            "terms": [[(day - at.date()).days, round(value, 4)] for day, value in terms],
        },
    }
    return render(request, "trading/options.html", context)


def chain_address(instrument: Instrument) -> str:
    """The page of the chain that an instrument belongs to, or that hangs on it; empty for none."""
    if instrument.underlying_key:
        underlying = Instrument.objects.filter(key=instrument.underlying_key).first()
        if underlying is None or instrument.expiry_date is None:
            return ""
        page = reverse("options", args=[underlying.symbol])
        return f"{page}?expiry={instrument.expiry_date.isoformat()}"
    listed = Instrument.objects.filter(
        underlying_key=instrument.key, active=True, instrument_type__in=["CE", "PE"]
    )
    return reverse("options", args=[instrument.symbol]) if listed.exists() else ""


def _futures(underlying: Instrument, *, at: datetime) -> list[dict[str, Any]]:
    """Listed futures with their quotes."""
    found = surroundings.futures(underlying=underlying, at=at)
    quotes = market.quotes([row.key for row in found], at)
    return [{"instrument": row, "quote": quotes.get(row.key)} for row in found]


def _chosen_expiry(request: HttpRequest, expiries: list[date]) -> date:
    asked = request.GET.get("expiry", "")
    return next((day for day in expiries if day.isoformat() == asked), expiries[0])


def _age(then: datetime | None, at: datetime) -> str | None:
    """Seconds since `then`, which the browser goes on counting."""
    if then is None:
        return None
    seconds = max(0, round((at - then).total_seconds()))
    return format_html('<span class="n" data-age="{}">{}</span>', then.isoformat(), seconds)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _moment(milliseconds: float) -> datetime | None:
    return clock.from_ms(round(milliseconds)) if np.isfinite(milliseconds) else None


def _rows(chain: Chain, *, around: int) -> list[dict[str, Any]]:
    """Strikes around the money, each with its call and its put."""
    centre = chain.at_the_money
    first, last = max(0, centre - around), min(chain.strikes.size, centre + around + 1)
    most = max(
        1.0,
        float(np.nanmax(np.nan_to_num(chain.calls.open_interest[first:last]), initial=0.0)),
        float(np.nanmax(np.nan_to_num(chain.puts.open_interest[first:last]), initial=0.0)),
    )
    quadrants = (analytics.build_up(chain.calls), analytics.build_up(chain.puts))

    def cell(side: Side, row: int, quadrant: str, *, in_the_money: bool) -> Cell:
        return Cell(
            row=row,
            key=side.keys[row],
            last_price=_known(side.last_price[row]),
            bid=_known(side.bid[row]),
            ask=_known(side.ask[row]),
            volume=_known(side.volume[row]),
            open_interest=_known(side.open_interest[row]),
            open_interest_change=_known(side.open_interest_change[row]),
            share=round(100 * (_known(side.open_interest[row]) or 0.0) / most, 1),
            volatility=_known(side.volatility[row] * 100),
            delta=_known(side.delta[row]),
            build_up=BUILD_UPS.get(quadrant),
            in_the_money=in_the_money,
            price_at=None
            if (ms := _known(side.price_ms[row])) is None
            else clock.from_ms(round(ms)),
        )

    return [
        {
            "strike": float(chain.strikes[row]),
            "centre": row == centre,
            "call": cell(
                chain.calls,
                row,
                quadrants[0][row],
                in_the_money=bool(chain.strikes[row] < chain.spot),
            ),
            "put": cell(
                chain.puts,
                row,
                quadrants[1][row],
                in_the_money=bool(chain.strikes[row] > chain.spot),
            ),
        }
        for row in range(first, last)
    ]


def _percentages(found: selectors.Analysis) -> dict[str, float | None]:
    """Fractions of the analysis as percentages for the page."""

    def of(value: float | None) -> float | None:
        return None if value is None else value * 100

    record = found.blast_record
    return {
        "volatility": of(found.volatility),
        "risk_reversal": of(found.skew.risk_reversal),
        "call_share": of(found.in_the_money.call_share),
        "put_share": of(found.in_the_money.put_share),
        "blast": of(found.blast.probability if found.blast else None),
        "blast_hit_rate": of(record.hit_rate),
        "blast_base_rate": of(record.base_rate),
    }


def _trial() -> dict[str, Any] | None:
    """The blast figure's record on simulated days, in percent; None where there is none."""
    found = trial.stored()
    if found is None or found["record"].hit_rate is None:
        return None
    record = found["record"]
    return {
        "days": found["days"],
        "alerts": record.alerts,
        "hit": record.hit_rate * 100,
        "base": record.base_rate * 100,
        "useful": record.useful,
    }


def _chart(chain: Chain, underlying: Instrument) -> dict[str, Any]:
    """What the page's module needs to draw charts and strategies."""

    def numbers(values: Any, places: int) -> list[float | None]:
        return [_known(value) for value in np.round(values, places)]

    return {
        "symbol": underlying.symbol,
        "expiry": chain.expiry_date.isoformat(),
        "spot": chain.spot,
        "lot": chain.lot_size,
        "strikes": chain.strikes.tolist(),
        "calls": {
            "key": chain.calls.keys,
            "price": numbers(chain.calls.middle, 2),
            "interest": numbers(chain.calls.open_interest, 0),
            "volatility": numbers(chain.calls.volatility, 4),
        },
        "puts": {
            "key": chain.puts.keys,
            "price": numbers(chain.puts.middle, 2),
            "interest": numbers(chain.puts.open_interest, 0),
            "volatility": numbers(chain.puts.volatility, 4),
        },
        "gamma": numbers(analytics.gamma_exposure(chain), 0),
        "deviation": analytics.expected_move(chain).one_deviation,
    }


@login_required
@require_GET
def strategy_margin(request: HttpRequest, symbol: str) -> JsonResponse:
    """Margin of `legs` (C24000:-2,P23500:1: side and strike, then signed lots) of one expiry."""
    at = clock.now()
    underlying = market.instrument_by_symbol(symbol)
    expiries = selectors.expiries(underlying=underlying, at=at)
    if not expiries:
        raise selectors.NoSuchChain(_("There are no options on this instrument."))
    expiry = _chosen_expiry(request, expiries)
    chain = selectors.live_chain(underlying=underlying, expiry_date=expiry, at=at)
    try:
        found = strategies.margin(
            underlying=underlying, chain=chain, wanted=parse_legs(request.GET.get("legs", ""))
        )
    except strategies.InvalidStrategy as refusal:
        return JsonResponse({"code": refusal.code, "message": refusal.message}, status=400)
    names = ("span", "exposure", "total", "premium")
    return JsonResponse({name: str(getattr(found, name)) for name in names})


def parse_legs(text: str) -> list[strategies.Wanted]:
    """The legs that `text` names; what is no leg is one that no chain has."""
    wanted = []
    for part in filter(None, text.split(",")):
        contract, _colon, lots_text = part.partition(":")
        try:
            strike, lots = float(contract[1:]), int(lots_text)
        except ValueError:
            strike, lots = float("nan"), 0
        kind = {"C": "CE", "P": "PE"}.get(contract[:1], "")
        wanted.append(strategies.Wanted(kind, strike, lots, contract[:20]))
    return wanted
