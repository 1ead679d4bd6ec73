"""The cast of the contract tests, and one of each kind of object, all of it the owner's."""

import uuid
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from mockmarket.core import clock, tokens, webhooks
from mockmarket.core.models import User
from portfolios import journal, services
from portfolios.models import Contest
from tests.support.api import client_of, live_market, share, student
from trading import alerting, gtt
from trading.models import Fill, Order

ANONYMOUS, OWNER, OTHER, CLASSMATE, ASSISTANT, ADMIN = (
    "anonymous",
    "owner",
    "other student",
    "same contest",
    "teaching assistant",
    "administrator",
)


@dataclass
class World:
    """The cast and what belongs to alice, the owner."""

    users: dict[str, User | None]
    values: dict[str, str]


def build() -> World:
    """Everybody, and one of each kind of object."""
    at = clock.now()
    alice, bob, carol = (student(name) for name in ("alice", "bob", "carol"))
    assistant = User.objects.create(username="ta", is_staff=True)
    root = User.objects.create(username="root", is_staff=True, is_superuser=True)
    # The examples of the OpenAPI document speak of this share at about this price.
    row = share("RELIANCE", key="NSE_EQ|INE002A01018")
    live_market({row: 2450.0})
    contest = Contest.objects.create(
        name="Class",
        slug="class",
        state=Contest.State.RUNNING,
        starts_at=at - timedelta(days=1),
        join_code="CLASSCODE",
        created_at=at,
    )
    Contest.objects.create(
        name="Open",
        slug="open",
        state=Contest.State.OPEN,
        starts_at=at + timedelta(days=1),
        join_code="OPENCODE",
        created_at=at,
    )
    contest.refresh_from_db()
    portfolio = services.open_portfolio(user=alice, contest=contest, at=at)
    services.open_portfolio(user=carol, contest=contest, at=at)
    order = Order.objects.create(
        portfolio=portfolio,
        instrument=row,
        side="BUY",
        order_type="LIMIT",
        product="CNC",
        quantity=2,
        price="2400.00",
        status="OPEN",
        client_order_id=uuid.uuid4().hex,
        placed_at=at,
        updated_at=at,
        session_date=at.date(),
    )
    fill = Fill.objects.create(
        order=order,
        execution_ref="1",
        quantity=1,
        price="2400",
        charges="0",
        quote={},
        phase="CONTINUOUS",
        filled_at=at,
    )
    watched = gtt.place_gtt(
        user=alice,
        contest="class",
        draft=gtt.GttDraft(
            instrument_key=row.key, side="BUY", quantity=1, lower=gtt.Leg(trigger=Decimal(2300))
        ),
        at=at,
    )
    alert = alerting.create(
        user=alice, instrument=row, kind="PRICE_ABOVE", threshold=Decimal(2600), note="", at=at
    )
    note = journal.write(portfolio=portfolio, text="Why.", at=at)
    token, _ = tokens.create_token(user=alice, name="t", scope="READ", expires_at=None, at=at)
    webhook = webhooks.create(user=alice, url="https://example.org/hook", events=["trade"], at=at)
    watchlist = client_of(alice).post("/api/v1/watchlists/", {"name": "Mine"}, format="json")
    return World(
        users={
            ANONYMOUS: None,
            OWNER: alice,
            OTHER: bob,
            CLASSMATE: carol,
            ASSISTANT: assistant,
            ADMIN: root,
        },
        values={
            "key": row.key,
            "instrument": row.key,
            "order_id": str(order.pk),
            "trade_id": str(fill.pk),
            "token_id": str(token.pk),
            "webhook_id": str(webhook.pk),
            "watchlist_id": str(watchlist.json()["id"]),
            "gtt_id": str(watched.pk),
            "alert_id": str(alert.pk),
            "note_id": str(note.pk),
            "session_date": at.astimezone(clock.IST).date().isoformat(),
            "code": "NOSUCHCODE99",
            "contest": "class",
            "refresh": tokens.issue_pair(user=alice).refresh,
            "unique": uuid.uuid4().hex[:20],
        },
    )
