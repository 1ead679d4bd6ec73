"""Records: a code and its values are kept, and become a sentence where somebody reads them."""

import re

import pytest
from django.utils import translation

from mockmarket.core import records, refusals
from mockmarket.core.records import english, read, record

PLACE = re.compile(r"\{(\w+)\}")


@pytest.mark.parametrize("code", records.TEXTS)
def test_a_record_is_read_as_it_was_kept(code: str) -> None:
    values = dict.fromkeys(PLACE.findall(records.TEXTS[code]), "7")
    assert read(record(code, **values)) == (code, values)
    assert " " not in code


@pytest.mark.parametrize("code", records.TEXTS)
def test_a_former_sentence_is_read_as_the_record_that_it_would_be_now(code: str) -> None:
    """Rows from before records were kept hold the English sentence with its values."""
    values = dict.fromkeys(PLACE.findall(records.TEXTS[code]), "7")
    sentence = records.TEXTS[code].format(**values)
    assert read(sentence) == (code, values)
    assert english(sentence) == english(record(code, **values))


@pytest.mark.parametrize("code", records.TEXTS)
def test_every_record_is_said_in_hindi(code: str) -> None:
    values = dict.fromkeys(PLACE.findall(records.TEXTS[code]), "7")
    with translation.override("hi"):
        said = refusals.said(record(code, **values))
    assert re.search("[\u0900-\u097f]", said), said
    assert said.count("7") >= len(values)


@pytest.mark.parametrize(
    ("kept", "in_english", "in_hindi"),
    [
        ("stale_quote seconds=7", "the newest price is 7 s old", "सबसे नया भाव 7 सेकंड पुराना है"),
        ("stale_quote: the newest price is 7 s old", "the newest price is 7 s old", None),
        ("price_above price=130050.5 threshold=9", "rose to ₹1,30,050.50 (set at ₹9.00)", None),
        ("rose to ₹1,300.00 (set at ₹1,250.00)", "rose to ₹1,300.00 (set at ₹1,250.00)", None),
        ("take: walked 3 ask levels", "take: walked 3 ask levels", None),
        (
            "insufficient_cash: Not enough cash: this order needs ₹7, you have ₹5: ₹2 short.",
            "insufficient_cash: Not enough cash: this order needs ₹7, you have ₹5: ₹2 short.",
            "नक़द कम है: इस ऑर्डर को ₹7 चाहिए, आपके पास ₹5 हैं: ₹2 कम।",
        ),
        (
            "NIFTY 30 DEC 26 FUT marked to ₹25,010.5 on 01 Dec 2026",
            "NIFTY 30 DEC 26 FUT marked to ₹25,010.5 on 01 Dec 2026",
            "NIFTY 30 DEC 26 FUT का दैनिक निपटान 1 दिस् 2026 को ₹25,010.5 पर हुआ",
        ),
        ("ACME: split 5 for 1: reversed", "ACME: split 5 for 1: reversed", None),
        (
            "ACME: dividend of ₹12.5 a share on 10",
            "ACME: dividend of ₹12.5 a share on 10",
            "ACME: 10 शेयरों पर प्रति शेयर ₹12.5 का लाभांश",
        ),
        ("Nobody ever said this.", "Nobody ever said this.", "Nobody ever said this."),
        ("", "", ""),
    ],
)  # fmt: skip
def test_what_is_kept_is_said(kept: str, in_english: str, in_hindi: str | None) -> None:
    assert english(kept) == in_english
    with translation.override("hi"):
        said = refusals.said(kept)
    if in_hindi is None:
        assert re.search("[\u0900-\u097f]", said), said
    else:
        assert said == in_hindi


def test_a_page_says_a_kept_refusal_without_its_code() -> None:
    assert refusals.said("insufficient_cash: Not enough.") == "Not enough."
