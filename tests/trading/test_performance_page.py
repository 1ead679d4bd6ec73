"""The performance page: empty, and after trades."""

from django.test import Client

from marketdata.models import Instrument
from mockmarket.core.models import User
from tests.trading.floor import Floor


def page_of(who: User) -> str:
    client = Client()
    client.force_login(who)
    answer = client.get("/portfolio/performance/")
    assert answer.status_code == 200
    return answer.content.decode()


def test_teaches_before_the_first_trade(floor: Floor, alice: User) -> None:
    assert "Nothing to review yet" in page_of(alice)


def test_shows_both_ways_of_counting_what_was_realised(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.tick(acme, 110.0, previous_close=100.0)
    floor.buy(alice, acme, 10)
    floor.tick(acme, 120.0)
    floor.sell(alice, acme, 10)
    text = page_of(alice)
    # Bought at 100.05 and 110.05, sold at 119.95: the first ten by FIFO, the average in the books.
    assert "+₹199.00" in text
    assert "+₹149.00" in text
    assert acme.sector in text
    assert "Disposition effect" in text
    assert 'data-source="performance-curve"' in text
