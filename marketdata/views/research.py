"""Pages to study shares by: movers, sectors, comparison, analysis, the screen."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from marketdata import listing, research, screening, selectors
from marketdata.models import Instrument
from marketdata.selectors import Facts
from marketdata.treemap import squarify
from marketdata.views import words
from mockmarket.core import clock
from mockmarket.core.errors import NotFound

MOVERS_SHOWN = 15
HEAT_GAP = 1.5
DEFAULT_COMPARED = ("TCS", "INFY", "HCLTECH")


@dataclass(frozen=True, slots=True)
class Shape:
    """A treemap's size in its own units, and how wide a letter of its labels is."""

    name: str
    width: float
    height: float
    letter: float


SHAPES = (Shape("lying", 1000.0, 480.0, 9.0), Shape("standing", 420.0, 620.0, 10.5))


# --- Movers -----------------------------------------------------------------------------
@login_required
@require_GET
def movers(request: HttpRequest) -> HttpResponse:
    """Gainers, losers and the most active, with today's course."""
    at = clock.now()
    boards: list[dict[str, Any]] = []
    for kind, title in (
        ("gainers", _("Gainers")),
        ("losers", _("Losers")),
        ("active_value", _("Most traded by value")),
    ):
        rows = listing.listed(selectors.movers(kind=kind, at=at, limit=MOVERS_SHOWN))  # type: ignore[arg-type]
        boards.append({"kind": kind, "title": title, "rows": rows})
    keys = [row.key for board in boards for row in board["rows"]]
    context = {"boards": boards, "sparks": research.sparklines(keys=keys, at=at)}
    part = request.GET.get("fragment")
    name = "marketdata/movers_boards.html" if part else "marketdata/movers.html"
    return render(request, name, context)


# --- Sectors ----------------------------------------------------------------------------
@login_required
@require_GET
def sectors(request: HttpRequest) -> HttpResponse:
    """A heat map by weight and change, and the sectors by change."""
    at = clock.now()
    index = request.GET.get("index", research.NIFTY)
    weights = selectors.members(index)
    facts = selectors.universe()
    if index not in facts or not weights:
        raise Http404
    found = selectors.sectors(at=at)
    members = [facts[key] for key in weights if key in facts]
    context = {
        "sectors": found,
        "heats": heat_maps(members, weights, at=at),
        "index_key": index,
        "index_choices": [listing.row(one, None) for one in selectors.indices_with_members()],
    }
    return render(request, "marketdata/sectors.html", context)


def heat_maps(
    members: list[Facts], weights: Mapping[str, float], *, at: datetime
) -> list[dict[str, Any]]:
    """The treemap in two shapes, one lying for a wide screen and one standing for a phone."""
    rows = listing.rows(members, at=at)
    return [{"shape": shape, "cells": _cells(rows, weights, shape)} for shape in SHAPES]


def _cells(
    rows: list[listing.Row], weights: Mapping[str, float], shape: Shape
) -> list[dict[str, Any]]:
    """Cells of the treemap: geometry, the share and its change."""
    boxes = squarify(
        [weights[row.key] for row in rows], x=0, y=0, width=shape.width, height=shape.height
    )
    cells = []
    for box in boxes:
        row = rows[box.place]
        cells.append(
            {
                "row": row,
                "weight": weights[row.key],
                "x": round(box.x, 1),
                "y": round(box.y, 1),
                "width": round(max(0.0, box.width - HEAT_GAP), 1),
                "height": round(max(0.0, box.height - HEAT_GAP), 1),
                "middle": round(box.x + box.width / 2, 1),
                "line": round(box.y + box.height / 2, 1),
                "tone": heat_tone(row.quote.change_percent if row.quote else None),
                "label": _fitting(row.symbol, box.width, shape.letter),
                "named": box.width > 5.6 * shape.letter and box.height > 3.8 * shape.letter,
            }
        )
    return cells


def _fitting(symbol: str, width: float, letter: float) -> str:
    """As much of a symbol as fits a cell."""
    room = int((width - 6) / letter)
    return symbol if len(symbol) <= room else symbol[: room - 1] + "…"


def heat_tone(change: Any) -> str:
    """The colour step of a change: `p0` to `p4` up, `n1` to `n4` down, by half percents."""
    if change is None:
        return "p0"
    step = min(4, int(abs(float(change)) / 0.5) + (1 if abs(float(change)) >= 0.05 else 0))
    return f"{'n' if change < 0 else 'p'}{step}" if step else "p0"


@login_required
@require_GET
def sector(request: HttpRequest, name: str) -> HttpResponse:
    """One sector's shares."""
    at = clock.now()
    found = next((one for one in selectors.sectors(at=at) if one.name == name), None)
    if found is None:
        raise NotFound("There is no such sector.")
    context = {"sector": found, "rows": listing.listed(found.members)}
    return render(request, "marketdata/sector.html", context)


# --- Compare ----------------------------------------------------------------------------
@login_required
@require_GET
def compare(request: HttpRequest) -> HttpResponse:
    """Up to five shares on one chart and in one table."""
    at = clock.now()
    wanted = [text.strip() for text in request.GET.getlist("s") if text.strip()]
    unknown: list[str] = []
    chosen: list[Instrument] = []
    for symbol in list(dict.fromkeys(wanted))[: research.COMPARED_MAX] or DEFAULT_COMPARED:
        try:
            one = selectors.instrument_by_symbol(symbol)
        except selectors.UnknownInstrument:
            unknown.append(symbol)
            continue
        if one not in chosen:
            chosen.append(one)
    found = research.compare(instruments=chosen, at=at)
    context = {
        "compared": found,
        "unknown": ", ".join(unknown) if wanted else "",
        "may_add": len(chosen) < research.COMPARED_MAX,
        "symbols": [one.symbol for one in chosen],
        "lines": {
            "percent": True,
            "lines": [{"name": one.row.symbol, "points": one.points} for one in found],
        },
        "periods": [
            ("1w", _("1 week")),
            ("1m", _("1 month")),
            ("3m", _("3 months")),
            ("1y", _("1 year")),
        ],
    }
    return render(request, "marketdata/compare.html", context)


# --- Analysis ---------------------------------------------------------------------------
@login_required
@require_GET
def analysis(request: HttpRequest, symbol: str) -> HttpResponse:
    """One share measured, each measure with its definition."""
    at = clock.now()
    instrument = selectors.instrument_by_symbol(symbol)
    found = research.analyse(instrument=instrument, at=at)
    groups = []
    if found is not None:
        groups = [
            (_("Trend"), words.findings(found.trend)),
            (_("Momentum"), words.findings(found.momentum)),
            (_("Volatility"), words.findings(found.volatility)),
            (_("Support and resistance"), words.findings(found.levels)),
            (_("Against the NIFTY 50"), words.findings(found.relative)),
        ]
    [row] = listing.rows([instrument], at=at)
    context = {"row": row, "instrument": instrument, "groups": groups}
    return render(request, "marketdata/analysis.html", context)


# --- The screen -------------------------------------------------------------------------
@login_required
@require_GET
def recommendations(request: HttpRequest) -> HttpResponse:
    """The screen: its rules, its record, its list."""
    at = clock.now()
    found = research.screen(at=at)
    rows: list[dict[str, Any]] = []
    heats: list[dict[str, Any]] = []
    if found is not None:
        facts = selectors.universe()
        picks = [pick for pick in found["picks"] if pick["key"] in facts]
        listed = listing.rows([facts[pick["key"]] for pick in picks], at=at)
        rows = [{"row": row, "pick": pick} for row, pick in zip(listed, picks, strict=True)]
        leads = {pick["key"]: max(0.5, pick["lead"]) for pick in picks}
        heats = heat_maps([facts[key] for key in leads], leads, at=at)
        found = {
            **found,
            "as_of": datetime.fromisoformat(found["as_of"]),
            "since": datetime.fromisoformat(found["since"]),
        }
    context = {
        "screen": found,
        "rows": rows,
        "heats": heats,
        "hold": screening.HOLD_SESSIONS,
        "lead_sessions": screening.LEAD_SESSIONS,
    }
    return render(request, "marketdata/recommendations.html", context)
