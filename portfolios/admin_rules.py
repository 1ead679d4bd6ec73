"""A contest's rules as fields of its form; what is kept is the one validated set of names."""

from collections.abc import Mapping
from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from marketdata.models import Instrument
from mockmarket.core.admin_base import ReasonForm
from portfolios import contests
from portfolios.models import Contest

PREFIX = "rule_"
NAMED = "NAMED"  # the choice of a universe that is listed share by share
_PRODUCTS = (("CNC", "CNC, delivery"), ("MIS", "MIS, intraday"), ("NRML", "NRML, derivatives"))
_LIQUIDITY = (("student", "Each student's own"), ("class", "The whole class's"))
_SETTLEMENT = (("t1", "T+1, as in the market"), ("instant", "At once"))
_EVERYTHING = (contests.EVERYTHING, "Every share")
_NAMES = dict([*_PRODUCTS, *_LIQUIDITY, *_SETTLEMENT, _EVERYTHING])


def _switch(label: str, text: str = "") -> forms.BooleanField:
    return forms.BooleanField(
        label=label, help_text=text, required=False, widget=UnfoldBooleanSwitchWidget
    )


def _amount(label: str, text: str) -> forms.DecimalField:
    return forms.DecimalField(
        label=label, help_text=text, required=False, widget=UnfoldAdminDecimalFieldWidget
    )


def _count(label: str, text: str) -> forms.IntegerField:
    return forms.IntegerField(
        label=label, help_text=text, required=False, widget=UnfoldAdminIntegerFieldWidget
    )


def _choice(label: str, choices: Any, text: str = "") -> forms.ChoiceField:
    return forms.ChoiceField(
        label=label,
        help_text=text,
        choices=choices,
        required=False,
        widget=UnfoldAdminSelectWidget,
    )


def _clock(label: str, text: str) -> forms.CharField:
    return forms.CharField(
        label=label, help_text=text, required=False, max_length=5, widget=UnfoldAdminTextInputWidget
    )


class ContestForm(ReasonForm):
    """A contest with one field a rule. `clean` puts them together, or refuses each by name."""

    rule_products = forms.MultipleChoiceField(
        label="Products",
        choices=_PRODUCTS,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )
    rule_shorts = _switch("Short selling", "Intraday selling of what one does not hold.")
    rule_leverage_max = _amount("Leverage, at most", "Times the cash, intraday: 1 to 20.")
    rule_universe = _choice("May be traded", ())
    rule_universe_names = forms.CharField(
        label="Named shares",
        help_text=f"Symbols or keys, by comma or line; at most {contests.UNIVERSE_MAX}.",
        required=False,
        max_length=40_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
    )
    rule_min_price = _amount("Price, at least", "Rupees; empty: any.")
    rule_position_percent_max = _amount("In one share, at most", "Percent of equity; empty: all.")
    rule_order_value_max = _amount("Value of an order, at most", "Rupees; empty: any.")
    rule_orders_per_minute_max = _count("Orders a minute, at most", "Empty: any number.")
    rule_fills_per_day_max = _count("Fills a day, at most", "Empty: any number.")
    rule_cooling_off_seconds = _count(
        "Cooling-off", "Seconds between a buy and a sell of the same share."
    )
    rule_reason_required = _switch("Reasons", "Every order must say why; it goes to the journal.")
    rule_options = _switch("Options")
    rule_futures = _switch("Futures")
    rule_liquidity = _choice("Displayed depth", _LIQUIDITY, "Whose fills eat it.")
    rule_participation_percent = _amount(
        "Participation", "Percent of the traded volume that one may be."
    )
    rule_settlement = _choice("Settlement", _SETTLEMENT)
    rule_square_off = _clock("Square-off of shares", "When intraday positions are closed: 15:10.")
    rule_square_off_fo = _clock("Square-off of derivatives", "15:35.")
    rule_late_join = _switch("Late joiners", "May join after the start.")
    rule_minimum_fills = _count("Fills for a rank", "Fewer are listed without one.")

    class Meta:
        model = Contest
        exclude = ("rules",)
        widgets = {"description": UnfoldAdminTextareaWidget(attrs={"rows": 3})}
        help_texts = {
            "slug": "Stands in the addresses of its pages and stays as it is.",
            "description": "Stands on its page.",
            "join_code": "What students type to join.",
            "capacity": "Members at most; empty: any number.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["rule_universe"].choices = _universes()  # type: ignore[attr-defined]
        stored = self.instance.rules if self.instance.pk else self.initial.get("rules")
        for name, value in _as_initial(contests.Rules.parse(stored)).items():
            self.initial.setdefault(name, value)

    @property
    def locked(self) -> bool:
        """Whether the contest has started, so that its rules stand."""
        return bool(self.instance.pk) and self.instance.state in contests.LOCKED

    def clean(self) -> dict[str, Any]:
        given = super().clean() or self.cleaned_data
        if self.locked or any(name.startswith(PREFIX) for name in self.errors):
            return given
        try:
            given["rules"] = contests.Rules.parse(_as_stored(given))
        except contests.InvalidRules as refusal:
            for name, message in refusal.fields.items():
                field = PREFIX + name
                self.add_error(field if field in self.fields else None, message)
        except _UnknownShare as refusal:
            self.add_error("rule_universe_names", str(refusal))
        return given


def in_words(rules: contests.Rules) -> list[tuple[str, str]]:
    """Each rule by the name that its field has, with its value as people write it."""

    def word(value: Any) -> str:
        if isinstance(value, str) and value in _NAMES:
            return _NAMES[value]
        if value is None:
            return "no limit"
        if isinstance(value, bool):
            return "yes" if value else "no"
        return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

    return [
        (str(ContestForm.base_fields[PREFIX + name].label), word(value))
        for name, value in rules.as_json().items()
        if name in contests.RULE_NAMES
    ]


class _UnknownShare(ValueError):
    """A named share that there is not."""


def _universes() -> list[tuple[str, str]]:
    """Everything, each index that has members, or shares one by one."""
    indices = (
        Instrument.objects.filter(segment__endswith="_INDEX", members__isnull=False)
        .distinct()
        .order_by("symbol")
        .values_list("key", "name")
    )
    return [_EVERYTHING, *indices, (NAMED, "Only the named shares")]


def _as_initial(rules: contests.Rules) -> dict[str, Any]:
    """Rules as the form's fields take them."""
    shown = {PREFIX + name: value for name, value in rules.as_json().items() if name != "version"}
    if isinstance(rules.universe, tuple):
        known = dict(Instrument.objects.filter(key__in=rules.universe).values_list("key", "symbol"))
        shown["rule_universe"] = NAMED
        shown["rule_universe_names"] = ", ".join(known.get(key, key) for key in rules.universe)
    return shown


def _as_stored(given: Mapping[str, Any]) -> dict[str, Any]:
    """The form's fields as a contest keeps them; what is empty takes its default."""
    stored: dict[str, Any] = {}
    for name in contests.RULE_NAMES:
        value = given.get(PREFIX + name)
        if name in contests.MAY_BE_UNLIMITED or value not in (None, "", []):
            stored[name] = value
    if stored.get("universe") == NAMED:
        stored["universe"] = _keys(given.get("rule_universe_names") or "")
    return stored


def _keys(text: str) -> list[str]:
    """Instrument keys from symbols or keys. Raises _UnknownShare."""
    names = [name.strip() for name in text.replace("\n", ",").split(",") if name.strip()]
    if len(names) > contests.UNIVERSE_MAX:
        raise _UnknownShare(f"Name at most {contests.UNIVERSE_MAX} shares.")
    symbols = [name.upper() for name in names]
    listed = Instrument.objects.filter(segment="NSE_EQ", symbol__in=symbols, active=True)
    found = dict(listed.values_list("symbol", "key"))
    kept = set(Instrument.objects.filter(key__in=names).values_list("key", flat=True))
    unknown = [name for name in names if name not in kept and name.upper() not in found]
    if unknown:
        raise _UnknownShare(f"There is no share {', '.join(unknown[:5])}.")
    return [name if name in kept else found[name.upper()] for name in names]


FIELDSETS: list[tuple[str, dict[str, Any]]] = [
    (
        "Rules: what may be traded",
        {
            "fields": [
                "rule_products",
                ("rule_shorts", "rule_leverage_max"),
                "rule_universe",
                "rule_universe_names",
                ("rule_options", "rule_futures"),
            ]
        },
    ),
    (
        "Rules: limits",
        {
            "fields": [
                ("rule_min_price", "rule_position_percent_max"),
                ("rule_order_value_max", "rule_orders_per_minute_max"),
                ("rule_fills_per_day_max", "rule_cooling_off_seconds"),
                "rule_reason_required",
            ]
        },
    ),
    (
        "Rules: fills, settlement, ranks",
        {
            "fields": [
                ("rule_liquidity", "rule_participation_percent"),
                "rule_settlement",
                ("rule_square_off", "rule_square_off_fo"),
                ("rule_late_join", "rule_minimum_fills"),
            ]
        },
    ),
]
