"""The pages' tags: what is drawn once is nobody's own, and a live cell is safe markup."""

from decimal import Decimal
from types import SimpleNamespace

import pytest
from django.template import Context, Template, TemplateSyntaxError
from django.utils import translation

from mockmarket.core import formats
from mockmarket.core.templatetags import desk


def draw(source: str, **values: object) -> str:
    return Template("{% load desk i18n %}" + source).render(Context(values))


def test_a_kept_block_is_drawn_once_for_each_value() -> None:
    drawn: list[str] = []

    class Word(str):
        def __str__(self) -> str:
            drawn.append(self)
            return str.__str__(self)

    template = Template("{% load desk %}{% kept word=word %}[{{ word }}]{% endkept %}")
    for word in ("a", "b", "a", "a"):
        assert template.render(Context({"word": Word(word)})) == f"[{word}]"
    assert drawn == ["a", "b"]


def test_a_kept_block_sees_only_what_tells_it_apart() -> None:
    template = Template("{% load desk %}{% kept word=word %}{{ word }}{{ user }}{% endkept %}")
    assert template.render(Context({"word": "a", "user": "alice"})) == "a"
    assert template.render(Context({"word": "a", "user": "bob"})) == "a"


def test_a_kept_block_is_drawn_in_each_language() -> None:
    template = Template("{% load desk i18n %}{% kept %}{% translate 'Dashboard' %}{% endkept %}")
    english = template.render(Context())
    with translation.override("hi"):
        hindi = template.render(Context())
    assert english == "Dashboard" != hindi
    assert template.render(Context()) == english


def test_a_kept_block_escapes_its_values() -> None:
    assert draw("{% kept word=word %}{{ word }}{% endkept %}", word="<b>") == "&lt;b&gt;"


def test_kept_blocks_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk, "KEPT_MAX", 3)
    template = Template("{% load desk %}{% kept n=n %}{{ n }}{% endkept %}")
    [node] = template.nodelist.get_nodes_by_type(desk.Kept)
    for number in range(20):
        assert template.render(Context({"n": number})) == str(number)
        assert len(node._drawn) <= 3


def test_a_live_cell_says_what_moves_it() -> None:
    quote = SimpleNamespace(change=Decimal("-1.50"), last_price=None)
    assert draw('{% live key "change" quote %}', key="A|'1", quote=quote) == (
        '<span class="n down" data-instrument="A|&#x27;1" data-field="change">−1.50</span>'
    )
    for nothing in ('{% live key "last_price" quote %}', '{% live key "last_price" %}'):
        assert draw(nothing, key="A|1", quote=quote) == (
            '<span class="n " data-instrument="A|1" data-field="last_price">–</span>'
        )


def test_a_live_cell_names_its_field_in_quotes() -> None:
    with pytest.raises(TemplateSyntaxError):
        draw("{% live key field quote %}")
    with pytest.raises(TemplateSyntaxError):
        draw("{% live key %}")


def test_kept_figures_tell_a_float_from_an_equal_decimal() -> None:
    # The float nearest to 2.675 lies below it; shown by its shortest text it rounds up.
    assert formats.number(2.675) == "2.68"
    assert formats.number(Decimal.from_float(2.675)) == "2.67"
    assert formats.number(2.675) == "2.68"
