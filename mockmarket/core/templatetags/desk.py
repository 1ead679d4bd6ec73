"""Tags of the pages: figures as people read them, live cells, icons, the import map."""

from datetime import datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson
from django import template
from django.conf import settings
from django.template import Node, NodeList, TemplateSyntaxError
from django.template.base import FilterExpression, Parser, Token, token_kwargs
from django.template.context import Context
from django.templatetags.static import static
from django.utils import dateformat
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from mockmarket.core import formats, refusals
from mockmarket.core.clock import IST

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
    """21 Nov 2026, 14:03:27 IST; the month in the page's language."""
    return _dated(_known(value), "j M Y, H:i:s")


@register.filter
def ist_minute(value: datetime | None) -> str:
    """21 Nov 2026, 14:03 IST."""
    return _dated(_known(value), "j M Y, H:i")


def _dated(value: datetime | None, form: str) -> str:
    if value is None:
        return formats.UNKNOWN
    return f"{dateformat.format(value.astimezone(IST), form)} IST"


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


# --- What is drawn once -----------------------------------------------------------------
# Of each block; above it, all are forgotten and drawn anew.
KEPT_MAX = 4096


class Kept(Node):
    """What a block looks like for each language and each set of the values it is given."""

    def __init__(self, nodelist: NodeList, given: dict[str, FilterExpression]) -> None:
        self.nodelist, self.given = nodelist, given
        self._drawn: dict[tuple[Any, ...], SafeString] = {}

    def render(self, context: Context) -> SafeString:
        values = {name: one.resolve(context) for name, one in self.given.items()}
        place = (get_language(), *values.values())
        drawn = self._drawn.get(place)
        if drawn is None:
            # Sees nothing but what tells it apart: no user's text can reach another's page.
            drawn = self.nodelist.render(context.new(values))
            if len(self._drawn) >= KEPT_MAX:
                self._drawn.clear()
            self._drawn[place] = drawn
        return drawn


@register.tag
def kept(parser: Parser, token: Token) -> Kept:
    """`{% kept symbol=row.symbol %}…{% endkept %}`: drawn once for each symbol, then repeated.

    For what is the same for everybody; the values must be hashable. The block sees only them.
    """
    given = token_kwargs(token.split_contents()[1:], parser)
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return Kept(nodelist, given)


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """`mapping[key]`, or None."""
    return mapping.get(key) if mapping else None


@lru_cache(maxsize=32_768, typed=True)
def _figure(field: str, value: Any) -> tuple[str, str]:
    """The tone and the text of one field: a page has hundreds, and prices come again."""
    tone = formats.direction(value) if field in {"change", "change_percent"} else ""
    return tone, write_field(field, value)


class Live(Node):
    """A node of its own, which costs half of a simple tag's resolving of arguments."""

    def __init__(self, key: FilterExpression, field: str, quote: FilterExpression | None) -> None:
        self.key, self.field, self.quote = key, field, quote

    def render(self, context: Context) -> SafeString:
        quote = self.quote and self.quote.resolve(context, ignore_failures=True)
        tone, text = _figure(self.field, getattr(quote, self.field, None))
        # Written by hand: a page has hundreds, and format_html took a sixth of its time. Figures
        # hold nothing to escape.
        return mark_safe(  # noqa: S308
            f'<span class="n {tone}" data-instrument="{_escaped(self.key.resolve(context))}"'
            f' data-field="{self.field}">{text}</span>'
        )


@register.tag
def live(parser: Parser, token: Token) -> Live:
    """`{% live row.key "last_price" row.quote %}`: a figure of an instrument, kept live by
    static/js/live.js.

    The quote has the field as attribute; it may be None or left out when no price is known yet.
    """
    words = token.split_contents()[1:]
    if len(words) not in (2, 3) or words[1][0] not in "\"'":
        raise TemplateSyntaxError('write {% live key "field" quote %}')
    quote = parser.compile_filter(words[2]) if len(words) == 3 else None
    return Live(parser.compile_filter(words[0]), words[1][1:-1], quote)


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
@cache
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
    return format_html(
        '<script type="importmap" nonce="{}">{}</script>',
        context["request"].csp_nonce,
        mark_safe(_imports(_modules())),  # noqa: S308  # our own files; "<" is escaped there
    )


@cache
def _imports(modules: tuple[str, ...]) -> str:
    imports = {f"app/{name}": static(f"js/{name}") for name in modules}
    imports["lightweight-charts"] = static("vendor/lightweight-charts.js")
    return orjson.dumps({"imports": imports}).decode().replace("<", "\\u003c")


@register.simple_tag
def data(name: str, value: Any) -> SafeString:
    """A value for the page's modules to read as JSON: an attribute, not a script, so that it
    also arrives with boosted navigation, which drops every script."""
    return format_html(
        '<data id="{}" hidden value="{}"></data>', name, orjson.dumps(value).decode()
    )
