"""Market sentiment from 0 (fear) to 100 (greed), by a formula that the page states. Pure.

    score = 50 + 50 × (0.4 B + 0.2 H + 0.2 V + 0.2 C), each part between -1 and 1

    B  breadth: (advances - declines) / (advances + declines)
    H  new highs and lows: (shares at a 52-week high - shares at a low) / 5 % of all shares
    V  India VIX: (15 - VIX) / 10; 15 is its long-run middle, 25 is fear
    C  change of the VIX today: -change in percent / 10

A part that is unknown counts as 0 and is named as missing.
"""

from dataclasses import dataclass
from typing import Final

WEIGHTS: Final = {"breadth": 0.4, "extremes": 0.2, "vix": 0.2, "vix_change": 0.2}
VIX_MIDDLE: Final = 15.0
VIX_SPAN: Final = 10.0
VIX_CHANGE_SPAN: Final = 10.0
EXTREMES_SHARE: Final = 0.05
FORMULA: Final = "50 + 50 × (0.4 breadth + 0.2 new highs-lows + 0.2 VIX level + 0.2 VIX change)"

_LABELS: Final = (
    (20.0, "extreme fear"),
    (40.0, "fear"),
    (60.0, "neutral"),
    (80.0, "greed"),
    (101.0, "extreme greed"),
)


@dataclass(frozen=True, slots=True)
class Sentiment:
    """`parts` are the weighted parts' values, None where unknown; `score` from 0 to 100."""

    score: float
    label: str
    parts: dict[str, float | None]
    missing: tuple[str, ...]


def _clip(value: float) -> float:
    return max(-1.0, min(1.0, value))


def measure(
    *,
    advances: int,
    declines: int,
    highs: int,
    lows: int,
    shares: int,
    vix: float | None,
    vix_change_percent: float | None,
) -> Sentiment:
    """The sentiment of those figures; `shares` is how many shares the highs are counted among."""
    moved = advances + declines
    parts: dict[str, float | None] = {
        "breadth": _clip((advances - declines) / moved) if moved else None,
        "extremes": _clip((highs - lows) / (EXTREMES_SHARE * shares)) if shares else None,
        "vix": None if vix is None else _clip((VIX_MIDDLE - vix) / VIX_SPAN),
        "vix_change": (
            None if vix_change_percent is None else _clip(-vix_change_percent / VIX_CHANGE_SPAN)
        ),
    }
    total = sum(WEIGHTS[name] * value for name, value in parts.items() if value is not None)
    score = round(50.0 + 50.0 * total, 1)
    label = next(name for bound, name in _LABELS if score < bound)
    missing = tuple(name for name, value in parts.items() if value is None)
    return Sentiment(score=score, label=label, parts=parts, missing=missing)
