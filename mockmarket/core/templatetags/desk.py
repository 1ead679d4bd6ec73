"""Tags of the pages: figures as people read them, live cells, icons, the import map."""

from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
from django import template
from django.conf import settings
from django.template.context import Context
from django.templatetags.static import static
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from mockmarket.core import formats, refusals

register = template.Library()

# How each field of a quote is written; the same table stands in static/js/format.js.
SIGNED_FIELDS = frozenset({"change", "change_percent", "day_pnl", "unrealised_pnl", "realised_pnl"})

# Boards whose score is a gain or a loss.
SIGNED_BOARDS = frozenset({"return", "day", "week"})


def _known(value: Any) -> Any:
    """The value, or None: a lookup that failed in a template arrives as an empty text."""
    return None if value == "" else value


def write_field(field: str, value: formats.Number | None) -> str:
    """The text of one field of a quote, a position or a portfolio."""
    if field in {"change_percent", "return_percent"}:
        return formats.percent(_known(value))
    if field in {"volume", "open_interest"}:
        return formats.compact(_known(value))
    if field in {"quantity", "filled_quantity", "rank"}:
        return formats.number(_known(value), places=0)
    return formats.number(_known(value), signed=field in SIGNED_FIELDS)


@register.filter
def num(value: Any, places: int = 2) -> str:
    """1,23,456.50."""
    return formats.number(_known(value), places=places)


@register.filter
def signed(value: Any, places: int = 2) -> str:
    """+1,234.50."""
    return formats.number(_known(value), places=places, signed=True)


@register.filter
def inr(value: Any, places: int = 2) -> str:
    """₹1,23,456.50."""
    return formats.rupees(_known(value), places=places)


@register.filter
def inr_signed(value: Any) -> str:
    """+₹1,234.50."""
    return formats.rupees(_known(value), signed=True)


@register.filter
def pct(value: Any) -> str:
    """+1.25%."""
    return formats.percent(_known(value))


@register.filter
def plain_pct(value: Any) -> str:
    """1.25%, for shares of a whole, which have no sign."""
    return formats.percent(_known(value), signed=False)


@register.filter
def short(value: Any) -> str:
    """12.35 L, 4.20 Cr."""
    return formats.compact(_known(value))


@register.filter
def short_inr(value: Any) -> str:
    """₹12.35 L, ₹4.20 Cr."""
    return formats.compact(_known(value), rupee=True)


@register.filter
def ist(value: datetime | None) -> str:
    """21 Nov 2026, 14:03:27 IST."""
    return formats.ist(_known(value))


@register.filter
def ist_minute(value: datetime | None) -> str:
    """21 Nov 2026, 14:03 IST."""
    return formats.ist(_known(value), seconds=False)


@register.filter
def direction(value: Any) -> str:
    """`up`, `down` or `flat`."""
    return formats.direction(_known(value))


@register.filter
def score(value: Any, board: str) -> str:
    """What a board ranks by: a ratio, a share of a whole, or a gain in percent."""
    if board == "sharpe":
        return formats.number(_known(value))
    return formats.percent(_known(value), signed=board in SIGNED_BOARDS)


@register.filter
def score_tone(value: Any, board: str) -> str:
    """`up` or `down` where the sign of a board's score means gain or loss."""
    return formats.direction(_known(value)) if board in SIGNED_BOARDS | {"sharpe"} else ""


@register.filter
def said(value: Any) -> str:
    """What a service said, or the name of a state, in the page's language."""
    return refusals.said(str(_known(value) or ""))


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """`mapping[key]`, or None."""
    return mapping.get(key) if mapping else None


@register.simple_tag
def live(key: str, field: str, quote: Any = None, extra: str = "") -> SafeString:
    """A figure of an instrument, kept live by static/js/live.js.

    `quote` has the field as attribute, or is None when no price is known yet. `extra` adds classes.
    """
    value = getattr(quote, field, None) if quote is not None else None
    tone = ""
    if field in {"change", "change_percent"}:
        tone = formats.direction(value)
    # Written by hand: a page has hundreds of these, and format_html took a sixth of its time.
    # `field`, `extra` and the tone are the template's words, figures hold nothing to escape.
    return mark_safe(  # noqa: S308
        f'<span class="n {tone} {extra}" data-instrument="{_escaped(key)}" data-field="{field}">'
        f"{write_field(field, value)}</span>"
    )


@lru_cache(maxsize=8192)
def _escaped(key: str) -> str:
    """An instrument key as an attribute's value."""
    return escape(key)


@register.simple_tag
def own(field: str, value: Any, extra: str = "") -> SafeString:
    """A figure of the shown portfolio, kept live by portfolio_update."""
    tone = formats.direction(value) if field in SIGNED_FIELDS | {"return_percent"} else ""
    return format_html(
        '<span class="n {} {}" data-portfolio="{}">{}</span>',
        tone,
        extra,
        field,
        write_field(field, value),
    )


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """An icon of static/icons.svg: decoration, unless `label` gives it a meaning."""
    href = f"{static('icons.svg')}#{name}"
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}"><use href="{}"></use></svg>', label, href
        )
    return format_html('<svg class="icon" aria-hidden="true"><use href="{}"></use></svg>', href)


@cache
def _module_names(_version: float) -> tuple[str, ...]:
    root = Path(settings.BASE_DIR) / "static" / "js"
    return tuple(sorted(path.relative_to(root).as_posix() for path in root.rglob("*.js")))


def _modules() -> tuple[str, ...]:
    """The product's modules; looked up again only in DEBUG, when the folder changes."""
    root = Path(settings.BASE_DIR) / "static" / "js"
    return _module_names(root.stat().st_mtime if settings.DEBUG else 0.0)


@register.simple_tag(takes_context=True)
def importmap(context: Context) -> SafeString:
    """The import map: `app/x.js` and packages by name to their served, hashed addresses.

    The only inline script of the product; it carries the request's nonce.
    """
    imports = {f"app/{name}": static(f"js/{name}") for name in _modules()}
    imports["lightweight-charts"] = static("vendor/lightweight-charts.mjs")
    body = orjson.dumps({"imports": imports}).decode().replace("<", "\\u003c")
    return format_html(
        '<script type="importmap" nonce="{}">{}</script>',
        context["request"].csp_nonce,
        mark_safe(body),  # noqa: S308  # addresses of our own files, and "<" is escaped above
    )


@register.simple_tag
def data(name: str, value: Any) -> SafeString:
    """A value for the page's modules to read as JSON: an attribute, not a script, so that it
    also arrives with boosted navigation, which drops every script."""
    return format_html(
        '<data id="{}" hidden value="{}"></data>', name, orjson.dumps(value).decode()
    )
