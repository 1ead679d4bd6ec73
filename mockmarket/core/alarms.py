"""Alarms that staff must see: one entry a cause in Redis, raised, repeated and cleared.

An alarm is also a log line of level error when it is raised, not when it is repeated.
"""

from datetime import datetime
from typing import Final

import msgspec
import redis
import structlog

from mockmarket.core import redis as store

log = structlog.get_logger(__name__)

TTL_SECONDS: Final = 86_400


class Alarm(msgspec.Struct, frozen=True):
    """`name` is the cause, `since` when it was first raised (ISO 8601)."""

    name: str
    message: str
    since: str


def raise_alarm(*, name: str, message: str, at: datetime) -> None:
    """Raise or repeat an alarm. Redis being away leaves the log line."""
    known = {alarm.name: alarm for alarm in current()}
    since = known[name].since if name in known else at.isoformat()
    if name not in known:
        log.error("alarm raised", alarm=name, why=message)
    try:
        store.client().hset(
            store.key("alarms"), name, msgspec.json.encode(Alarm(name, message[:500], since))
        )
        store.client().expire(store.key("alarms"), TTL_SECONDS)
    except redis.RedisError:
        return


def clear(*, name: str) -> None:
    """The cause is gone."""
    try:
        if store.client().hdel(store.key("alarms"), name):
            log.info("alarm cleared", alarm=name)
    except redis.RedisError:
        return


def current() -> list[Alarm]:
    """Alarms that stand, oldest first; [] when Redis is away."""
    try:
        raw = store.client().hgetall(store.key("alarms"))
    except redis.RedisError:
        return []
    found = [msgspec.json.decode(value, type=Alarm) for value in raw.values()]
    return sorted(found, key=lambda alarm: (alarm.since, alarm.name))
