"""What an app tells connected users, and how it wakes the engine.

Durable events (orders, fills, announcements) are numbered per user and written to the outbox in
the transaction that caused them; they are published only after it commits, and swept up by
`relay_unpublished` when that publication failed. Live events (valuations, ranks) are neither
stored nor numbered: the newest replaces the one before. Redis is a doorbell throughout: when it
is away, publishing is counted as failed and nothing else stops.
"""

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec
import redis as redis_errors
from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, OuterRef, Subquery
from django.utils.functional import Promise

from mockmarket.core import redis
from mockmarket.core.bulk import Json, insert_values
from mockmarket.core.models import OutboxEvent, UserStream

STREAM_GROUP = "stream"  # engine and services -> the hub of every web process
ENGINE_GROUP = "engine"  # doorbells -> the engine
REPLAY_MAX = 300  # events that `resume` gives back; beyond it the client refetches
# The committing process publishes first; the relay takes what is older than this.
RELAY_GRACE = timedelta(seconds=2)
_USERS_PER_STATEMENT = 500
_EVENTS_PER_MESSAGE = 500

EVERYBODY = 0  # the user id of a live event for every connected user

Wake = Literal["orders", "interest", "contests", "alerts", "corporate_actions"]

# Sends that Redis refused, by kind, since the process started. Shown on the operations page.
failures: Counter[str] = Counter()


class OutsideTransaction(RuntimeError):
    """A durable event was published outside the transaction that causes it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One durable event: `payload` in JSON, `seq` counting from 1 per user."""

    user_id: int
    seq: int
    type: str
    payload: str


def _plain(value: object) -> object:
    if isinstance(value, Promise):  # a lazily translated text
        return str(value)
    raise TypeError(f"an event's payload holds {type(value).__name__}, which JSON does not know")


_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=_plain)


def encode(payload: object) -> str:
    """JSON for the stream: Decimals as numbers, times as ISO 8601, NaN as null."""
    return _encoder.encode(payload).decode()


def publish(*, user_id: int, type: str, payload: Mapping[str, Any], at: datetime) -> int:
    """Tell one user, once the surrounding transaction commits. Returns the event's number.

    Locks the user's stream row until the commit, so it comes after the portfolio and the order
    in the order of locks. Raises OutsideTransaction.
    """
    return publish_many([(user_id, type, payload)], at=at)[0]


def publish_many(items: Sequence[tuple[int, str, Mapping[str, Any]]], *, at: datetime) -> list[int]:
    """Like `publish` for (user_id, type, payload) of many users, in few statements.

    Streams are locked in the order of user ids, so two batches cannot deadlock on each other.
    Returns the numbers in the order of `items`; one user's events keep their order.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction("publish inside the transaction that causes the event")
    counts = Counter(user_id for user_id, _, _ in items)
    newest = _advance_streams(counts)
    following = {user_id: newest[user_id] - count + 1 for user_id, count in counts.items()}
    events: list[Event] = []
    for user_id, type_, payload in items:
        seq = following[user_id]
        following[user_id] += 1
        events.append(Event(user_id, seq, type_, encode(payload)))
    insert_values(
        OutboxEvent,
        ("user_id", "seq", "type", "payload", "created_at", "published_at"),
        [(one.user_id, one.seq, one.type, Json(one.payload), at, None) for one in events],
    )
    transaction.on_commit(functools.partial(_publish_committed, events, at))
    return [event.seq for event in events]


def _advance_streams(counts: Mapping[int, int]) -> dict[int, int]:
    """Lock each user's stream, advance it by its count, and return the new numbers."""
    newest: dict[int, int] = {}
    user_ids = sorted(counts)
    for start in range(0, len(user_ids), _USERS_PER_STATEMENT):
        chunk = user_ids[start : start + _USERS_PER_STATEMENT]
        current = _locked_numbers(chunk)
        missing = [user_id for user_id in chunk if user_id not in current]
        if missing:
            UserStream.objects.bulk_create(
                [UserStream(user_id=user_id) for user_id in missing], ignore_conflicts=True
            )
            current.update(_locked_numbers(missing))
        by_count: dict[int, list[int]] = defaultdict(list)
        for user_id in chunk:
            by_count[counts[user_id]].append(user_id)
        for count, ids in by_count.items():
            UserStream.objects.filter(user_id__in=ids).update(seq=F("seq") + count)
        newest.update((user_id, current[user_id] + counts[user_id]) for user_id in chunk)
    return newest


def _locked_numbers(user_ids: Sequence[int]) -> dict[int, int]:
    rows = UserStream.objects.select_for_update().filter(user_id__in=user_ids)
    return dict(rows.order_by("user_id").values_list("user_id", "seq"))


def _publish_committed(events: Sequence[Event], at: datetime) -> None:
    if not _send_events(events):
        return  # the relay finds them unpublished
    ranges = _ranges(events)
    table = connection.ops.quote_name(OutboxEvent._meta.db_table)
    told = connection.ops.adapt_datetimefield_value(at)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            users, firsts, lasts = (list(column) for column in zip(*ranges, strict=True))
            cursor.execute(
                f"UPDATE {table} AS told SET published_at = %s"  # noqa: S608
                " FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS one(id, first, last)"
                " WHERE told.user_id = one.id AND told.seq BETWEEN one.first AND one.last",
                [told, users, firsts, lasts],
            )
        else:
            cursor.executemany(
                f"UPDATE {table} SET published_at = %s"  # noqa: S608
                " WHERE user_id = %s AND seq BETWEEN %s AND %s",
                [(told, *one) for one in ranges],
            )


def _ranges(events: Iterable[Event]) -> list[tuple[int, int, int]]:
    """(user, first, last number) of events that were numbered together, so without a gap."""
    ranges: dict[int, tuple[int, int]] = {}
    for event in events:
        first, _ = ranges.get(event.user_id, (event.seq, event.seq))
        ranges[event.user_id] = first, event.seq
    return [(user_id, first, last) for user_id, (first, last) in ranges.items()]


def _send_events(events: Sequence[Event]) -> bool:
    for start in range(0, len(events), _EVENTS_PER_MESSAGE):
        items = [
            [event.user_id, event.seq, event.type, event.payload]
            for event in events[start : start + _EVENTS_PER_MESSAGE]
        ]
        if not send(STREAM_GROUP, {"type": "bus.events", "items": items}):
            return False
    return True


def relay_unpublished(*, at: datetime, limit: int = 500) -> int:
    """Publish what was committed but not sent: a crash or Redis came between. Returns how many.

    Safe to run anywhere at any time: hubs drop an event whose number they have seen.
    """
    rows = list(
        OutboxEvent.objects.filter(
            published_at__isnull=True, created_at__lte=at - RELAY_GRACE
        ).order_by("id")[:limit]
    )
    if not rows:
        return 0
    events = [Event(row.user_id, row.seq, row.type, encode(row.payload)) for row in rows]
    if not _send_events(events):
        return 0
    OutboxEvent.objects.filter(id__in=[row.pk for row in rows]).update(published_at=at)
    return len(rows)


def prune_outbox() -> int:
    """Delete published events that no `resume` can ask for any more. Returns how many."""
    newest = UserStream.objects.filter(user_id=OuterRef("user_id")).values("seq")
    deleted, _ = OutboxEvent.objects.filter(
        published_at__isnull=False, seq__lte=Subquery(newest) - REPLAY_MAX
    ).delete()
    return deleted


def position(user_id: int) -> tuple[str, int]:
    """The epoch and the newest number of a user's events; begins the stream when there is none."""
    stream, _ = UserStream.objects.get_or_create(user_id=user_id)
    return str(stream.epoch), stream.seq


def events_since(user_id: int, epoch: str, seq: int) -> list[Event] | None:
    """The user's events after `seq`, oldest first, or None when they cannot be given whole.

    None (another epoch, a number from the future, more than REPLAY_MAX missed, or a hole) tells
    the client to refetch its state: a partial replay is never handed out.
    """
    current_epoch, newest = position(user_id)
    if epoch != current_epoch or not newest - REPLAY_MAX <= seq <= newest:
        return None
    rows = OutboxEvent.objects.filter(user_id=user_id, seq__gt=seq).order_by("seq")
    events = [Event(user_id, row.seq, row.type, encode(row.payload)) for row in rows]
    if [event.seq for event in events] != list(range(seq + 1, seq + 1 + len(events))):
        return None
    return events if seq + len(events) >= newest else None


def _live_message(items: Sequence[tuple[int, str, Mapping[str, Any]]]) -> dict[str, Any]:
    encoded = [[user_id, type_, encode(payload)] for user_id, type_, payload in items]
    return {"type": "bus.live", "items": encoded}


def publish_live(items: Sequence[tuple[int, str, Mapping[str, Any]]]) -> bool:
    """Tell users the newest state, unnumbered: (user_id or EVERYBODY, type, payload).

    Each (user, type) keeps only the newest payload. Returns whether Redis took it.
    """
    return send(STREAM_GROUP, _live_message(items))


async def publish_live_async(items: Sequence[tuple[int, str, Mapping[str, Any]]]) -> bool:
    """`publish_live` for asyncio code (the engine)."""
    return await send_async(STREAM_GROUP, _live_message(items))


def close_sockets(
    *, user_id: int, session_key: str | None = None, code: int = 4401, reason: str = "signed out"
) -> bool:
    """Close the user's sockets in every process, or only those of one session."""
    return send(
        STREAM_GROUP,
        {
            "type": "bus.close",
            "user_id": user_id,
            "session_key": session_key,
            "code": code,
            "reason": reason,
        },
    )


def wake_engine(what: Wake) -> None:
    """Ring the engine once the surrounding transaction commits, or now outside one."""
    transaction.on_commit(
        functools.partial(send, ENGINE_GROUP, {"type": "wake", "what": what}), robust=True
    )


def group_channel(group: str) -> str:
    """The Redis channel of a group, as channels_redis names it."""
    return f"{settings.REDIS_PREFIX}__group__{group}"


def send(group: str, message: Mapping[str, Any]) -> bool:
    """Send to a group of the channel layer from synchronous code. False when Redis is away.

    Published through the process's synchronous client: `async_to_sync(group_send)` would open an
    event loop and a Redis connection for each call.
    """
    layer = get_channel_layer()
    try:
        if isinstance(layer, RedisPubSubChannelLayer):
            redis.client().publish(group_channel(group), layer.serialize(message))
        else:
            async_to_sync(layer.group_send)(group, dict(message))
    except (redis_errors.RedisError, OSError):
        failures[str(message["type"])] += 1
        return False
    return True


async def send_async(group: str, message: Mapping[str, Any]) -> bool:
    """`send` for asyncio code."""
    try:
        await get_channel_layer().group_send(group, dict(message))
    except (redis_errors.RedisError, OSError):
        failures[str(message["type"])] += 1
        return False
    return True
