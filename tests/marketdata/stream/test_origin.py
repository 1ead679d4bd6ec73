"""Exact origins only."""

import pytest

from marketdata.stream.origin import allowed

OWN = "market.example:8000"


@pytest.mark.parametrize(
    ("origin", "host", "secure", "origins", "answer"),
    [
        (f"http://{OWN}", OWN, False, [], True),
        (f"https://{OWN}", OWN, True, [], True),
        ("https://market.example", "market.example", True, [], True),
        ("https://market.example:443", "market.example", True, [], True),
        ("http://[::1]:8000", "[::1]:8000", False, [], True),
        (f"http://{OWN}", OWN, True, [], False),
        ("http://market.example", OWN, False, [], False),
        ("null", OWN, False, [], False),
        ("", OWN, False, [], False),
        (f"http://{OWN}/", OWN, False, [], False),
        (f"http://a@{OWN}", OWN, False, [], False),
        (f"http://{OWN}", "not a host", False, [], False),
        ("https://a.example", OWN, False, ["https://a.example"], True),
        (f"http://{OWN}", OWN, False, ["https://a.example"], False),
        ("https://a.example.evil", OWN, False, ["https://a.example"], False),
        ("https://xa.example", OWN, False, ["https://a.example"], False),
        ("https://b.a.example", OWN, False, ["https://a.example"], False),
        ("https://a.example:8443", OWN, False, ["https://a.example"], False),
        ("https://a.example", OWN, False, ["*"], False),
    ],
)
def test_allowed(origin: str, host: str, secure: bool, origins: list[str], answer: bool) -> None:
    assert allowed(origin=origin, host=host, secure=secure, origins=origins) is answer
