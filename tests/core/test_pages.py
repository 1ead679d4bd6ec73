"""Every page: for whom it opens, what it costs, what its headers forbid."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from marketdata import selectors, services, watchlists
from mockmarket.core import clock
from mockmarket.core.models import User
from mockmarket.core.records import english
from portfolios import services as portfolios
from trading import alerting
from trading.models import Alert

PAGES = [
    "/", "/market/", "/movers/", "/sectors/", "/compare/", "/stocks/RELIANCE/",
    "/stocks/NIFTY/", "/stocks/RELIANCE/analysis/", "/recommendations/", "/news/", "/sentiment/",
    "/watchlists/", "/portfolio/", "/orders/", "/orders/?show=all", "/funds/", "/contests/",
    "/contests/practice/leaderboard/", "/alerts/", "/announcements/", "/learn/", "/profile/",
]  # fmt: skip
# Measured where no board is known, so that each list of prices asks the database; with room for
# one more part of the shell. A page that asks once a row is far above.
QUERIES_MAX = 16
QUERIES_MORE = {
    "/": 20, "/compare/": 24, "/stocks/RELIANCE/": 21, "/stocks/NIFTY/": 22,
    "/stocks/RELIANCE/analysis/": 18, "/contests/practice/leaderboard/": 22,
}  # fmt: skip

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    services.seed_universe()
    selectors.forget()
    user = User.objects.create_user("alice", password="a long secret", first_name="Alice")
    portfolios.ensure_practice(user=user, at=clock.now())
    return user


@pytest.fixture
def desk(alice: User) -> Iterator[Client]:
    client = Client()
    client.force_login(alice)
    yield client
    selectors.forget()


@pytest.mark.parametrize("path", PAGES)
def test_a_page_opens_and_asks_little(desk: Client, path: str) -> None:
    desk.get(path)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        response = desk.get(path)
    assert response.status_code == 200
    assert len(queries) <= QUERIES_MORE.get(path, QUERIES_MAX), [
        query["sql"][:120] for query in queries
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_not_for_strangers(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith(reverse("login"))


def test_a_page_runs_no_inline_code(desk: Client) -> None:
    response = desk.get("/stocks/RELIANCE/")
    policy = response["Content-Security-Policy"]
    assert "unsafe" not in policy
    html = response.content.decode()
    nonce = re.search(r"'nonce-([^']+)'", policy)
    assert nonce is not None
    inline = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", html)
    assert [f'type="importmap" nonce="{nonce[1]}"' in one for one in inline] == [True]
    assert not re.search(r"\sstyle=|\son[a-z]+=", html)


def test_the_policy_changes_with_each_answer(desk: Client) -> None:
    nonces = {desk.get("/").headers["Content-Security-Policy"] for _ in range(2)}
    assert len(nonces) == 2


def test_boosted_navigation_brings_only_the_main_part(desk: Client) -> None:
    response = desk.get("/market/", headers={"HX-Request": "true", "HX-Boosted": "true"})
    html = response.content.decode()
    assert html.lstrip().startswith("<title>")
    assert "<html" not in html
    assert response["HX-Retarget"] == "#main"
    assert "HX-Boosted" in response["Vary"]


def test_an_unknown_share_is_a_page_of_its_own(desk: Client) -> None:
    response = desk.get("/stocks/NOSUCHSHARE/")
    assert response.status_code == 404
    assert b"There is no such page" in response.content


def test_operations_are_for_staff(desk: Client, alice: User) -> None:
    assert desk.get("/operations/").status_code == 403
    alice.is_staff = True
    alice.save()
    response = desk.get("/operations/")
    assert response.status_code == 200
    assert b"The market engine is down" in response.content


def test_company_names_are_escaped(desk: Client) -> None:
    share = selectors.instrument_by_symbol("RELIANCE")
    share.name = "<script>alert(1)</script>"
    share.save()
    for path in ("/stocks/RELIANCE/", "/market/search/?q=RELIANCE"):
        assert b"<script>alert" not in desk.get(path).content


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("quantity", "0", "Enter a whole number of at least 1."),
        ("quantity", "-5", "Enter a whole number of at least 1."),
        ("quantity", "1.5", "Enter a whole number of at least 1."),
        ("quantity", "99999999999", "An order is at most"),
        ("price", "abc", "Enter a price as a number."),
        ("price", "NaN", "Enter a price as a number."),
        ("price", "", "Enter a price."),
    ],
)
def test_the_ticket_says_what_is_wrong_beside_its_field(
    desk: Client, field: str, value: str, said: str
) -> None:
    fields = {
        "instrument_key": selectors.instrument_by_symbol("RELIANCE").key,
        "side": "BUY",
        "quantity": "1",
        "order_type": "LIMIT",
        "product": "CNC",
        "validity": "DAY",
        "price": "1000",
        field: value,
    }
    response = desk.post("/orders/ticket/", fields)
    assert response.status_code == 400
    html = response.content.decode()
    assert said in html
    assert f'id="e-{field}"' in html


def test_posting_needs_the_token_of_the_form(alice: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(alice)
    assert strict.post("/orders/ticket/", {}).status_code == 403
    assert strict.post("/watchlists/add/", {}).status_code == 403


def test_the_next_page_after_login_stays_here(client: Client, alice: User) -> None:
    for target, lands in (("/orders/", "/orders/"), ("https://evil.example/", "/")):
        response = client.post(
            "/login/", {"username": "alice", "password": "a long secret", "next": target}
        )
        assert response["Location"] == lands
        client.logout()


# --- Watchlists and alerts --------------------------------------------------------------
def test_the_profile_keeps_a_name_of_ones_own(desk: Client, alice: User) -> None:
    url = reverse("profile")
    User.objects.create(username="owl", alias="Night Owl")
    assert desk.post(url, {"alias": "  Snowy   Owl "}).context["saved"]
    for wrong in ("night owl", "x" * 31):
        page = desk.post(url, {"alias": wrong})
        assert page.context["errors"].keys() == {"alias"}
        assert page.context["form_alias"] == wrong
    desk.post(reverse("preferences"), {"theme": "dark", "palette": "distinct"})
    desk.post(reverse("preferences"), {"theme": "nonsense", "palette": "nonsense"})
    alice.refresh_from_db()
    assert (alice.alias, alice.theme, alice.colour_blind) == ("Snowy Owl", "DARK", True)


def test_a_watchlist_keeps_its_order_and_its_ceiling(alice: User) -> None:
    shares = list(selectors.instruments(universe_only=True)[:101])
    for share in shares[:100]:
        own = watchlists.add(user=alice, instrument=share)
    with pytest.raises(watchlists.WatchlistFull):
        watchlists.add(user=alice, instrument=shares[100])
    keys = [share.key for share in shares[:100]][::-1]
    watchlists.reorder(watchlist=own, keys=keys)
    assert [one.key for one in watchlists.instruments(watchlist=own)] == keys
    watchlists.add(user=alice, instrument=shares[0])
    assert len(watchlists.instruments(watchlist=own)) == 100


def test_another_users_list_and_alert_do_not_exist(desk: Client, alice: User) -> None:
    bob = User.objects.create_user("bob", password="b")
    share = selectors.instrument_by_symbol("TCS")
    own = watchlists.add(user=bob, instrument=share)
    alert = alerting.create(
        user=bob,
        instrument=share,
        kind="PRICE_ABOVE",
        threshold=Decimal(9999),
        note="",
        at=clock.now(),
    )
    assert desk.post(f"/watchlists/{own.pk}/remove/", {"instrument": share.key}).status_code == 404
    assert desk.post(f"/alerts/{alert.pk}/remove/").status_code == 404
    assert Alert.objects.filter(pk=alert.pk).exists()


def test_a_firing_is_kept_and_told_once(alice: User) -> None:
    at = datetime(2026, 11, 20, 5, tzinfo=UTC)
    alert = alerting.create(
        user=alice,
        instrument=selectors.instrument_by_symbol("TCS"),
        kind="PRICE_ABOVE",
        threshold=Decimal(9999),
        note="",
        at=at,
    )
    fired = [alerting.Fired(alert.pk, 10_000.0, at)]
    assert alerting.keep(fired=fired, rearmed=[], at=at) == 1
    assert alerting.keep(fired=fired, rearmed=[], at=at) == 0
    [event] = alerting.events_of(user=alice)
    assert "rose to ₹10,000.00" in english(event.message)
    assert alerting.keep(fired=[], rearmed=[alert.pk], at=at) == 0
    assert alerting.keep(fired=fired, rearmed=[], at=at) == 1


@pytest.mark.parametrize("threshold", ["0", "-1", "nan", "Infinity"])
def test_an_alert_needs_a_number_above_zero(desk: Client, threshold: str) -> None:
    response = desk.post(
        "/alerts/", {"symbol": "TCS", "kind": "PRICE_ABOVE", "threshold": threshold}
    )
    assert response.status_code == 400
    assert not Alert.objects.exists()
