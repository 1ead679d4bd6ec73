"""Can this process serve? Each check answers None when all is well, else why not."""

from collections.abc import Callable
from functools import cache

import redis as redis_errors
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from mockmarket.core import redis

# The engine writes its heartbeat each second, under this key, with an expiry of its own.
ENGINE_HEARTBEAT = ("heartbeat", "engine")


def failures() -> dict[str, str]:
    """What is wrong now, by check; empty when the process can serve."""
    found = {}
    for name, check in CHECKS.items():
        reason = check()
        if reason is not None:
            found[name] = reason
    return found


def _database() -> str | None:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    return None


def _migrations() -> str | None:
    try:
        missing = _missing_migrations()
    except DatabaseError as error:
        return f"the database does not answer ({type(error).__name__})"
    if missing:
        _missing_migrations.cache_clear()  # asked again until they have been applied
        return f"{missing} migrations are not applied: run `manage.py migrate`"
    return None


@cache
def _missing_migrations() -> int:
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def _redis() -> str | None:
    try:
        redis.client().ping()
    except redis_errors.RedisError as error:
        return f"Redis does not answer ({type(error).__name__})"
    return None


def _engine() -> str | None:
    try:
        beating = redis.client().exists(redis.key(*ENGINE_HEARTBEAT))
    except redis_errors.RedisError:
        return "unknown while Redis does not answer"
    return None if beating else "no market engine is running: no heartbeat"


CHECKS: dict[str, Callable[[], str | None]] = {
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "engine": _engine,
}
