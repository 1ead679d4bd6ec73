"""Headlines, and the market's mood."""

import math
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from marketdata import listing, mood, selectors
from marketdata import news as headlines
from marketdata.views.lists import breadth_context
from mockmarket.core import clock

PAGE = 30
VIX = "NSE_INDEX|India VIX"


@login_required
@require_GET
def news(request: HttpRequest) -> HttpResponse:
    """Headlines, newest first, of all or of one share."""
    symbol = request.GET.get("symbol", "")
    instrument = selectors.instrument_by_symbol(symbol) if symbol else None
    found = headlines.items(instrument=instrument).prefetch_related("instruments")
    page = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "items": page,
        "instrument": instrument,
        "next_page": page.next_page_number() if page.has_next() else None,
    }
    return render(request, "marketdata/news.html", context)


@login_required
@require_GET
def sentiment(request: HttpRequest) -> HttpResponse:
    """The mood's score, what it is made of, and the formula."""
    context = {**sentiment_context(), **breadth_context()}
    facts = selectors.universe()
    context["vix"] = listing.rows([facts[VIX]], at=clock.now())[0] if VIX in facts else None
    name = (
        "marketdata/sentiment_box.html"
        if request.GET.get("fragment")
        else "marketdata/sentiment.html"
    )
    return render(request, name, context)


def sentiment_context() -> dict[str, Any]:
    """The template variable `mood`; None before the first measurement."""
    found = mood.latest()
    if found is None:
        return {"mood": None}
    parts = {
        "breadth": (_("Breadth"), _("Rising less falling shares, of all that moved."), 40),
        "extremes": (
            _("New highs and lows"),
            _("Shares at a 52-week high less those at a low."),
            20,
        ),
        "vix": (_("India VIX"), _("15 is its long-run middle; higher is fear."), 20),
        "vix_change": (_("Change of the VIX"), _("A falling VIX is relief."), 20),
    }
    labels = {
        "extreme fear": _("extreme fear"),
        "fear": _("fear"),
        "neutral": _("neutral"),
        "greed": _("greed"),
        "extreme greed": _("extreme greed"),
    }
    turn = math.pi / 2 * (found["score"] - 50) / 50
    return {
        "mood": {
            **found,
            "label": labels.get(found["label"], found["label"]),
            "as_of": datetime.fromisoformat(found["as_of"]),
            "x": round(150 + 104 * math.sin(turn), 1),
            "y": round(140 - 104 * math.cos(turn), 1),
            "lines": [
                {"name": name, "text": text, "weight": weight, "value": found["parts"].get(code)}
                for code, (name, text, weight) in parts.items()
            ],
        }
    }
