"""What an attacker tries on the pages: forged requests, guessed passwords, code in names."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from random import randrange
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from marketdata import selectors, services
from marketdata.models import NewsItem, NewsSource
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios import announcements
from portfolios import services as portfolios

pytestmark = pytest.mark.django_db
SECRET = "a long secret"
PAYLOADS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><b onmouseover=alert(1)>",
    "</title><script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "{{ 7|add:7 }}<i>",
    "{% debug %}<i>",
    "<a href=javascript:alert(1)>x</a>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
)
# Values of the routes' parameters: the routes answer before they look for anything.
PARAMETERS: dict[str, Any] = {
    "symbol": "RELIANCE", "slug": "practice", "name": "Energy", "code": "NONE", "language": "en",
    "stamp": "x", "watchlist_id": 1, "alert_id": 1, "note_id": 1, "token_id": 1,
    "order_id": "00000000-0000-4000-8000-000000000000",
    "gtt_id": "00000000-0000-4000-8000-000000000000",
    "portfolio_id": 1, "contest_id": 1, "day": "2026-11-20",
}  # fmt: skip


@pytest.fixture
def alice() -> User:
    services.seed_universe()
    selectors.forget()
    user = User.objects.create_user("alice", password=SECRET)
    portfolios.ensure_practice(user=user, at=clock.now())
    return user


def pages() -> Iterator[tuple[str, str]]:
    """Name and address of every page route; the API and the admin have tests of their own."""

    def walk(resolver: URLResolver) -> Iterator[tuple[str, str]]:
        for entry in resolver.url_patterns:
            if isinstance(entry, URLResolver):
                if not str(entry.pattern).startswith(("admin/", "api/")):
                    yield from walk(entry)
            elif isinstance(entry, URLPattern) and entry.name:
                wanted = {name: PARAMETERS[name] for name in entry.pattern.converters}
                try:
                    yield entry.name, reverse(entry.name, kwargs=wanted)
                except NoReverseMatch as error:
                    raise AssertionError(f"give {entry.name} its parameters") from error

    yield from walk(get_resolver())


def test_no_page_takes_a_post_without_the_forms_token(alice: User) -> None:
    forger = Client(enforce_csrf_checks=True)
    forger.force_login(alice)
    answers = {name: forger.post(url).status_code for name, url in pages()}
    assert len(answers) > 40
    # 405: the route takes no POST at all.
    assert {name: status for name, status in answers.items() if status not in {403, 405}} == {}


def test_control_the_same_posts_with_the_token_are_not_all_refused(alice: User) -> None:
    student = Client()
    student.force_login(alice)
    answers = {student.post(url).status_code for _, url in pages()}
    assert answers - {403, 405}


def test_reading_pages_writes_nothing(alice: User) -> None:
    from portfolios.models import LedgerEntry
    from trading.models import Alert, Order

    student = Client()
    student.force_login(alice)
    for _, url in pages():  # the first visit may open books: practice is made on demand
        student.get(url)
    student.force_login(alice)
    before = [model.objects.count() for model in (LedgerEntry, Order, Alert)]
    for _, url in pages():
        student.get(url)
    assert [model.objects.count() for model in (LedgerEntry, Order, Alert)] == before


@pytest.fixture
def attempt() -> Callable[..., Any]:
    """Signs in from an address of the test's own: failures of an address are remembered."""
    address = f"10.{randrange(256)}.{randrange(256)}.{randrange(256)}"

    def post(username: str, password: str, **headers: Any) -> Any:
        return Client(REMOTE_ADDR=address).post(
            "/login/", {"username": username, "password": password}, headers=headers
        )

    return post


def test_changing_the_forwarded_address_does_not_buy_guesses(
    alice: User, attempt: Callable[..., Any]
) -> None:
    statuses = [
        attempt("alice", f"guess {n}", **{"X-Forwarded-For": f"203.0.113.{n}"}).status_code
        for n in range(30)
    ]
    assert sum(status == 401 for status in statuses) <= 10
    assert statuses[-1] == 429
    assert attempt("alice", SECRET).status_code == 429


def test_one_address_of_a_campus_is_not_locked_out_by_a_neighbour(
    alice: User, attempt: Callable[..., Any]
) -> None:
    bob = User.objects.create(username="bob", password=make_password(SECRET))
    for n in range(15):
        attempt("alice", f"guess {n}")
    assert attempt("bob", SECRET).status_code == 302
    assert bob.is_active


def test_a_wrong_name_reads_as_a_wrong_password(alice: User, attempt: Callable[..., Any]) -> None:
    def told(username: str) -> tuple[int, str]:
        answer = attempt(username, "guess")
        text = answer.content.decode()
        start = text.index("<form")
        body = text[start : text.index("</form>", start)]
        return answer.status_code, body.replace(username, "").split("csrfmiddlewaretoken")[0]

    assert told("alice") == told("nobody")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_code_in_what_people_type_is_shown_as_text(alice: User, payload: str) -> None:
    User.objects.filter(pk=alice.pk).update(first_name=payload[:60], alias=payload[:30])
    now = clock.now()
    announcements.announce(author=alice, title=payload, body=payload, at=now)
    source = NewsSource.objects.create(name=payload[:60], url="https://news.example/feed")
    NewsItem.objects.create(
        source=source, guid="1", title=payload, summary=payload, link="https://news.example/1",
        published_at=now - timedelta(minutes=1), fetched_at=now,
    )  # fmt: skip
    student = Client()
    student.force_login(User.objects.get(pk=alice.pk))
    for path in (
        "/", "/announcements/", "/news/", "/profile/", "/contests/practice/leaderboard/",
        "/market/?q=" + payload, "/compare/?add=" + payload, "/portfolio/journal/?tag=" + payload,
    ):  # fmt: skip
        page = student.get(path).content.decode()
        assert payload not in page, path
        assert payload[:30] not in page, path
