"""Who may do what: every operation of the API, for every kind of caller.

An operation without a row here fails the test, so nobody adds one without saying who may use it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import transaction
from django.urls import URLPattern, URLResolver

from mockmarket.api_urls import version_1
from tests.contracts.world import (
    ADMIN,
    ANONYMOUS,
    ASSISTANT,
    CLASSMATE,
    OTHER,
    OWNER,
    World,
    build,
)
from tests.support.api import client_of

pytestmark = pytest.mark.django_db

ROLES = (ANONYMOUS, OWNER, OTHER, CLASSMATE, ASSISTANT, ADMIN)
METHODS = ("get", "post", "put", "patch", "delete")

# What a role gets: the operation, 401, "there is no such thing", or 403.
YES, SIGN_IN, HIDDEN, REFUSED = "yes", "sign in", "hidden", "refused"


@dataclass(frozen=True)
class Row:
    """Who gets what; `body` and `query` make the request one that its owner may do."""

    expected: Mapping[str, str]
    body: Mapping[str, Any] | None = None
    query: str = ""


def _row(*, anonymous: str = SIGN_IN, others: str = YES, staff: str = YES, **given: Any) -> Row:
    return Row(
        {
            ANONYMOUS: anonymous,
            OWNER: YES,
            OTHER: others,
            CLASSMATE: others,
            ASSISTANT: staff,
            ADMIN: staff,
        },
        **given,
    )


def public(**given: Any) -> Row:
    """Anybody."""
    return _row(anonymous=YES, **given)


def everybody(**given: Any) -> Row:
    """Whoever signed in; the answer is the caller's own or the same for all."""
    return _row(**given)


def owner_only(**given: Any) -> Row:
    """Nobody else, not even staff."""
    return _row(others=HIDDEN, staff=HIDDEN, **given)


def owner_and_staff(**given: Any) -> Row:
    """The owner; staff look on."""
    return _row(others=HIDDEN, **given)


def staff_only(**given: Any) -> Row:
    """Staff; students are told that it is not for them."""
    rows = dict.fromkeys((OWNER, OTHER, CLASSMATE), REFUSED)
    return Row({**everybody().expected, **rows}, **given)


def members(**given: Any) -> Row:
    """Those who joined the contest; each gets their own."""
    rows = {**owner_only().expected, CLASSMATE: YES}
    return Row(rows, **given)


ORDER = {"instrument_key": "{instrument}", "side": "BUY", "quantity": 1}
LEG = {"trigger": "2300.00"}
IN_CONTEST = "?contest=class"
ROWS: dict[str, Row] = {
    "POST auth/token/": public(body={"username": "nobody", "password": "x"}),
    "POST auth/token/refresh/": public(body={"refresh": "{refresh}"}),
    "POST ws-ticket/": everybody(),
    "GET server/status/": everybody(),
    "GET me/": everybody(),
    "PATCH me/": everybody(body={"alias": "{unique}"}),
    "GET tokens/": everybody(),
    "POST tokens/": everybody(body={"name": "bot"}),
    "DELETE tokens/{token_id}/": owner_only(),
    "GET webhooks/": everybody(),
    "POST webhooks/": everybody(body={"url": "https://example.org/hook", "events": ["trade"]}),
    "GET webhooks/{webhook_id}/": owner_only(),
    "POST webhooks/{webhook_id}/": owner_only(),
    "DELETE webhooks/{webhook_id}/": owner_only(),
    "GET webhooks/{webhook_id}/deliveries/": owner_only(),
    "GET market/status/": everybody(),
    "GET instruments/": everybody(),
    "GET instruments/{key}/": everybody(),
    "GET instruments/{key}/depth/": everybody(),
    "GET instruments/{key}/candles/": everybody(),
    "GET instruments/{key}/analysis/": everybody(),
    "GET compare/": everybody(query="?instruments={key}"),
    "GET screen/": everybody(),
    "GET quotes/": everybody(query="?instruments=NSE_EQ|X"),
    "GET indices/": everybody(),
    "GET indices/{key}/members/": everybody(),
    "GET movers/": everybody(),
    "GET breadth/": everybody(),
    "GET sectors/": everybody(),
    "GET sentiment/": everybody(),
    "GET news/": everybody(),
    "GET watchlists/": everybody(),
    "POST watchlists/": everybody(body={"name": "{unique}"}),
    "GET watchlists/{watchlist_id}/": owner_only(),
    "PATCH watchlists/{watchlist_id}/": owner_only(body={"name": "Theirs"}),
    "DELETE watchlists/{watchlist_id}/": owner_only(),
    "POST watchlists/{watchlist_id}/items/": owner_only(body={"instrument_key": "{instrument}"}),
    "DELETE watchlists/{watchlist_id}/items/{key}/": owner_only(),
    "GET options/underlyings/": everybody(),
    "GET options/{key}/": everybody(),
    "GET options/{key}/chain/": everybody(),
    "GET options/{key}/analytics/": everybody(),
    "POST options/{key}/margin/": everybody(
        body={"legs": [{"kind": "CE", "strike": "25000.00", "lots": -1}]}
    ),
    "GET portfolio/": members(query=IN_CONTEST),
    "GET portfolio/equity/": members(query=IN_CONTEST),
    "GET positions/": members(query=IN_CONTEST),
    "GET holdings/": members(query=IN_CONTEST),
    "GET ledger/": members(query=IN_CONTEST),
    "GET contests/": everybody(),
    "POST contests/join/": everybody(body={"code": "OPENCODE"}),
    "GET contests/{contest}/": everybody(),
    "POST contests/{contest}/leave/": everybody(),
    "GET contests/{contest}/leaderboard/": everybody(),
    "GET contests/{contest}/results/": everybody(),
    "GET contests/{contest}/result/": members(),
    "GET certificates/{code}/": public(),
    "GET announcements/": everybody(),
    "GET journal/": members(query=IN_CONTEST),
    "POST journal/": members(body={"text": "Why.", "contest": "class"}),
    "GET journal/tags/": members(query=IN_CONTEST),
    "PATCH journal/{note_id}/": owner_only(query=IN_CONTEST, body={"text": "Why not."}),
    "DELETE journal/{note_id}/": owner_only(query=IN_CONTEST),
    "GET orders/": members(query=IN_CONTEST),
    "POST orders/": members(body={**ORDER, "contest": "class"}),
    "POST orders/preview/": members(body={**ORDER, "contest": "class"}),
    "GET orders/{order_id}/": owner_and_staff(),
    "PATCH orders/{order_id}/": owner_only(body={"quantity": 3}),
    "DELETE orders/{order_id}/": owner_only(),
    "GET orders/{order_id}/trades/": owner_and_staff(),
    "GET trades/": members(query=IN_CONTEST),
    "GET trades/{trade_id}/": owner_and_staff(),
    "POST baskets/": members(body={"orders": [ORDER], "contest": "class"}),
    "POST baskets/preview/": members(body={"orders": [ORDER], "contest": "class"}),
    "GET gtt/": members(query=IN_CONTEST),
    "POST gtt/": members(body={**ORDER, "lower": LEG, "contest": "class"}),
    "GET gtt/{gtt_id}/": owner_only(),
    "DELETE gtt/{gtt_id}/": owner_only(),
    "POST brackets/": members(
        body={**ORDER, "stop": LEG, "target": {"trigger": "2600.00"}, "contest": "class"}
    ),
    "GET contract-notes/": members(query=IN_CONTEST),
    "GET contract-notes/{session_date}/": members(query=IN_CONTEST),
    "GET contract-notes/{session_date}/csv/": members(query=IN_CONTEST),
    "GET contract-notes/{session_date}/pdf/": members(query=IN_CONTEST),
    "GET performance/": members(query=IN_CONTEST),
    "GET performance/curve/": members(query=IN_CONTEST),
    "GET performance/trips/": members(query=IN_CONTEST),
    "POST practice/reset/": everybody(),
    "GET alerts/": everybody(),
    "POST alerts/": everybody(
        body={"instrument_key": "{instrument}", "kind": "PRICE_ABOVE", "threshold": "2600.00"}
    ),
    "GET alerts/events/": everybody(),
    "GET alerts/{alert_id}/": owner_only(),
    "DELETE alerts/{alert_id}/": owner_only(),
    "GET operations/": staff_only(),
}


def operations() -> Iterator[str]:
    """Every method of every address under /api/v1/."""
    for route, view in routes(version_1):
        for method in METHODS:
            if hasattr(view, method):
                yield f"{method.upper()} {route}"


def routes(found: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Address and view class of every pattern."""
    for item in found:
        if isinstance(item, URLResolver):
            yield from routes(item.url_patterns, prefix + str(item.pattern))
        elif isinstance(item, URLPattern):
            route = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", prefix + str(item.pattern))
            yield route, item.callback.view_class  # type: ignore[attr-defined]


def test_every_operation_has_a_row() -> None:
    assert sorted(operations()) == sorted(ROWS)


@pytest.fixture
def world(settings: Any) -> World:
    settings.READS_PER_SECOND = settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 10_000
    return build()


@pytest.mark.parametrize("role", ROLES)
def test_matrix(role: str, world: World) -> None:
    wrong = {}
    for operation in sorted(ROWS):
        # A bare savepoint: inside a nested atomic block durable transactions would refuse.
        savepoint = transaction.savepoint()
        found = answered(operation, role, world)
        transaction.savepoint_rollback(savepoint)
        if found != ROWS[operation].expected[role]:
            wrong[operation] = found
    assert wrong == {}


HIDING = {"not_found", "no_portfolio", "no_note", "unknown_order", "unknown_trade", "unknown_gtt"}


def answered(operation: str, role: str, world: World) -> str:
    """What a role gets: one of the three words, or what else happened."""
    method, _, route = operation.partition(" ")
    row = ROWS[operation]
    client = client_of(world.users[role])
    url = "/api/v1/" + (route + row.query).format(**world.values)
    body = {name: filled(value, world.values) for name, value in (row.body or {}).items()}
    call = getattr(client, method.lower())
    answer = call(url) if method in {"GET", "DELETE"} else call(url, body, format="json")
    code = answer.json()["error"]["code"] if answer.status_code >= 400 else ""
    if code in HIDING:
        return HIDDEN
    if answer.status_code >= 500 or code == "invalid_input":
        return f"{answer.status_code} {answer.json()}"
    return {"not_authenticated": SIGN_IN, "forbidden": REFUSED}.get(code, YES)


def filled(value: Any, values: Mapping[str, str]) -> Any:
    """`value` with the names of the world replaced, however deep."""
    if isinstance(value, str):
        return value.format(**values)
    if isinstance(value, Mapping):
        return {name: filled(inner, values) for name, inner in value.items()}
    return [filled(inner, values) for inner in value] if isinstance(value, list) else value
