"""The words of the analysis page: names, readings and definitions of its measures."""

from collections.abc import Callable, Iterable
from typing import Any

from django.utils.translation import gettext as _

from marketdata.analysis import Finding
from mockmarket.core.formats import number, percent, rupees


def _definitions() -> dict[str, tuple[str, str]]:
    """Name and definition by measure."""
    return {
        "sma20": (
            _("Mean of 20 sessions"),
            _("The average close of the last 20 sessions. A price above it has risen of late."),
        ),
        "sma50": (_("Mean of 50 sessions"), _("The average close of the last 50 sessions.")),
        "sma200": (
            _("Mean of 200 sessions"),
            _("The average close of the last 200 sessions: the long trend."),
        ),
        "cross": (
            _("20 against 50 sessions"),
            _("How far the short mean stands from the longer one; above zero the trend is up."),
        ),
        "rsi": (
            _("RSI, 14 sessions"),
            _(
                "Average gain against average loss, from 0 to 100 (Wilder). Above 70 many call it "
                "overbought, below 30 oversold."
            ),
        ),
        "macd": (
            _("MACD less its signal"),
            _(
                "The 12-session less the 26-session exponential mean, less that difference's own "
                "9-session mean. Above zero, momentum grows."
            ),
        ),
        "return_1m": (_("Return, 1 month"), _("Change of the close over 21 sessions.")),
        "return_3m": (_("Return, 3 months"), _("Change of the close over 63 sessions.")),
        "volatility": (
            _("Volatility"),
            _("Deviation of daily returns over 60 sessions, scaled to a year of 250."),
        ),
        "atr": (
            _("Usual daily swing"),
            _("Mean true range of 14 sessions, in percent of the price."),
        ),
        "band_place": (
            _("Place in the bands"),
            _("0 is the lower and 100 the upper Bollinger band (20 sessions, two deviations)."),
        ),
        "drawdown": (
            _("Deepest fall in a year"),
            _("The largest drop from an earlier high within 250 sessions."),
        ),
        "support": (
            _("Support"),
            _("The nearest earlier low under the price that held for five sessions either side."),
        ),
        "resistance": (
            _("Resistance"),
            _("The nearest earlier high over the price that held for five sessions either side."),
        ),
        "high_52w": (_("52-week high"), _("The highest price of the last 250 sessions.")),
        "low_52w": (_("52-week low"), _("The lowest price of the last 250 sessions.")),
        "relative_3m": (
            _("Lead over the NIFTY 50"),
            _("The share’s return over 63 sessions less the index’s."),
        ),
        "beta": (
            _("Beta"),
            _("How far the share moved, on average, when the NIFTY 50 moved one percent."),
        ),
    }


def _readings() -> dict[str, tuple[str, str]]:
    """Words and tone by reading."""
    return {
        "above": (_("above"), "up"),
        "below": (_("below"), "down"),
        "neutral": (_("neutral"), ""),
        "overbought": (_("overbought"), "warning"),
        "oversold": (_("oversold"), "warning"),
        "inside": (_("inside"), ""),
        "high": (_("high"), "warning"),
        "medium": (_("medium"), ""),
        "low": (_("low"), ""),
        "": ("", ""),
    }


# Percentages that have no direction.
SIZES = frozenset({"volatility", "atr", "band_place"})


def findings(found: Iterable[Finding]) -> list[dict[str, Any]]:
    """Each finding as name, text, reading, tone and definition."""
    definitions, readings = _definitions(), _readings()
    writers: dict[str, Callable[..., str]] = {"percent": percent, "rupees": rupees, "": number}
    listed = []
    for one in found:
        name, definition = definitions[one.name]
        reading, tone = readings[one.reading]
        listed.append(
            {
                "name": name,
                "text": writers[one.unit](one.value).lstrip("+" if one.name in SIZES else ""),
                "reading": reading,
                "tone": tone,
                "definition": definition,
            }
        )
    return listed
