"""What is kept of a thing that happened, for people who read of it later, each in their language.

A record is a code and its values, never a sentence: `stale_quote seconds=7`. It is kept as that
one text, in a column or in JSON, and compared as it is. `english` says it to programs, `said` of
core/refusals.py to the readers of a page. What a service refused is kept as `code: message`, as
the API says it. Rows from before records were kept hold English sentences; `read` knows those as
well. Pure.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from mockmarket.core import formats


def _(text: str) -> str:
    """Marks a text for the translators; this module is read by the matcher, without Django."""
    return text


TEXTS: Final[Mapping[str, str]] = {
    # Why an order, or a price that is waited for, stands as it does.
    "next_session": _("waits for the next session"),
    "auction_price": _("waits for the auction's price"),
    "stale_quote": _("the newest price is {seconds} s old"),
    "no_quote": _("the newest price is missing"),
    "ioc": _("what could not fill at once is cancelled"),
    "insufficient_holdings": _("{left} are left to sell"),
    "insufficient_margin": _("the position that it was to close is gone"),
    "insufficient_cash": _("the margin is no longer there"),
    "by_owner": _("cancelled by its owner"),
    "squared_off": _("squared off by the system"),
    "day_over": _("the day is over"),
    "intraday_over": _("intraday trading has ended"),
    "practice_restarted": _("practice was started afresh"),
    "bracket_fired": _("a leg of its bracket has fired"),
    "margin_call": _("margin call: its cash is needed"),
    "contract_expired": _("the contract has expired"),
    "corporate_action": _("a corporate action has changed the share"),
    # The rules that led to a fill's price, step by step.
    "stop": _("stop: last price {last} reached {trigger}"),
    "quote": _("quote: {age} ms old, from {source}"),
    "take_level": _("take: walked 1 {side} level"),
    "take_levels": _("take: walked {levels} {side} levels"),
    "take_none": _("take: no {side} within {limit}"),
    "rest_shown": _("rest: the other side shows {shown} at {limit} or better"),
    "rest_through": _("rest: trades at {last} went through, share {share}"),
    "model_unknown": _("model: no book and no last price"),
    "model_beyond": _("model: {price} is beyond the limit or the band"),
    "model": _("model: no book shown; last {last} and {bps} bps"),
    "one_price": _("{kind}: everything trades at {price}"),
    # What the ledger says of its entries; kept in English, for programs and exports.
    "bought": _("Bought {quantity} {symbol} at {price} ({product})"),
    "sold": _("Sold {quantity} {symbol} at {price} ({product})"),
    "starting_cash": _("Starting cash of the contest"),
    "expired_worthless": _("{symbol} expired worthless"),
    "expired_settled": _("{symbol} expired: {quantity} settled at {price}"),
    "expired_exercised": _("{symbol} expired: {quantity} exercised at {price}"),
    "expired_assigned": _("{symbol} expired: {quantity} assigned at {price}"),
    "margin_reckoned": _("Margin of {symbol} reckoned anew: {amount} in all"),
    "marked": _("{symbol} marked to {price} on {day}"),
    # Corporate actions: what happened, then what it did. The longer text stands first, because
    # a sentence is read as the first that fits.
    "split_fraction": _(
        "{symbol}: split {numerator} for {denominator}, a fraction of a share in cash ({product})"
    ),
    "bonus_fraction": _(
        "{symbol}: bonus {numerator} for {denominator}, a fraction of a share in cash ({product})"
    ),
    "split_reversed": _("{symbol}: split {numerator} for {denominator}: reversed"),
    "bonus_reversed": _("{symbol}: bonus {numerator} for {denominator}: reversed"),
    "dividend_reversed": _("{symbol}: dividend of {amount}: reversed"),
    "dividend_paid": _("{symbol}: dividend of {amount} a share on {quantity}"),
    "split": _("{symbol}: split {numerator} for {denominator}"),
    "bonus": _("{symbol}: bonus {numerator} for {denominator}"),
    "dividend": _("{symbol}: dividend of {amount}"),
    "shares_adjusted": _("Your {quantity} shares were adjusted, at the same cost in all."),
    "shares_turned_back": _("Your {quantity} shares were turned back, at the same cost in all."),
    "contracts_adjusted": _("Your futures and options on it have new lots and strikes."),
    "cash_came": _("{amount} came to your cash."),
    "cash_left": _("{amount} left your cash."),
    "orders_follow": _("{quantity} of your waiting orders follow."),
    # What an alert reports of its share.
    "price_above": _("rose to {price} (set at {threshold})"),
    "price_below": _("fell to {price} (set at {threshold})"),
    "percent_move": _("has moved {percent}% today, now {price}"),
    "volume_spike": _("trades over {times} times its usual volume, at {price}"),
    "range_breakout": _("left the day’s range, now {price}"),
}
# Values that are words: the sides of the book, where a quote came from, the kinds of one price.
WORDS: Final = (
    _("ask"), _("bid"), _("stream"), _("rest"), _("cache"), _("database"),
    _("auction"), _("opening"), _("square-off"),
)  # fmt: skip
DAY: Final = "%d %b %Y"  # how a value named `day` is written
RUPEES: Final = frozenset({"price", "last", "limit", "trigger", "threshold"})
QUANTITIES: Final = frozenset({"left", "shown", "share"})
RATIOS: Final = frozenset({"percent", "times"})

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_REFUSAL = re.compile(r"(?P<code>[a-z]+(?:_[a-z]+)*): (?P<message>.+)", re.DOTALL)
_FORMER: Final = tuple(
    (code, re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text))))
    for code, text in TEXTS.items()
)


def record(code: str, **values: object) -> str:
    """The text to keep. A value is a number or one word."""
    return " ".join([code, *(f"{name}={value}" for name, value in values.items())])


@lru_cache(maxsize=4096)
def read(kept: str) -> tuple[str, Mapping[str, str]]:
    """The code and the values of a kept text; the code is "" where it is no record."""
    code, *parts = kept.split(" ")
    if code in TEXTS:
        return code, dict(part.split("=", 1) for part in parts)
    refusal = _REFUSAL.fullmatch(kept)
    for sentence in (kept, refusal["message"] if refusal else ""):
        for name, form in _FORMER:
            if found := form.fullmatch(sentence):
                return name, found.groupdict()
    return (refusal["code"], {"message": refusal["message"]}) if refusal else ("", {})


def written(values: Mapping[str, str]) -> dict[str, str]:
    """The values as people write them, by their names: rupees, quantities, ratios."""
    return {name: _write(name, value) for name, value in values.items()}


def _write(name: str, value: str) -> str:
    if not _NUMBER.fullmatch(value):
        return value  # a word, or written already
    if name in RUPEES:
        return formats.rupees(Decimal(value))
    if name in QUANTITIES or name in RATIOS:
        places = 0 if name in QUANTITIES else 2
        return formats.number(Decimal(value), places=places)
    return value


def english(kept: str) -> str:
    """A kept text as programs are told it; as it is where it is no record."""
    code, values = read(kept)
    return kept if not code or "message" in values else TEXTS[code].format(**written(values))


def sentence(code: str, **values: object) -> str:
    """A text in English at once: what is kept as a sentence, whose values may have spaces."""
    return TEXTS[code].format(**written({name: str(value) for name, value in values.items()}))


def told(kept: str, name: str) -> dict[str, Any]:
    """A kept text for programs, under `name`, with what it takes to say it in another language."""
    code, values = read(kept)
    return {name: english(kept), f"{name}_code": code, f"{name}_values": written(values)}
