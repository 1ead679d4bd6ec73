"""What Prometheus scrapes: the engine's heartbeat, the stream, orders, jobs and stores as gauges.

Everything is read at the scrape from Redis and the database, so any web process answers for the
whole installation. Names follow Prometheus' conventions: base units, `_total` for what only
grows since its process started.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import redis as redis_errors
from django.db.models import Count
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marketdata.upstox.limiter import STANDARD, Limiter
from mockmarket.core import alarms, health, redis
from mockmarket.core.models import JobRun, OutboxEvent
from portfolios.models import Portfolio
from trading.lifecycle import LIVE
from trading.models import Order

# heartbeat field -> (metric, help); gauges of the engine
_ENGINE: Final = {
    "ticks_per_second": ("mockmarket_ticks_per_second", "Ticks merged a second."),
    "batches_per_second": ("mockmarket_batches_per_second", "Batches published a second."),
    "instruments": ("mockmarket_board_instruments", "Rows of the quote board."),
    "sockets": ("mockmarket_sockets", "Open WebSockets."),
    "users": ("mockmarket_users_connected", "Users with an open WebSocket."),
    "watched": ("mockmarket_instruments_watched", "Instruments that somebody watches."),
    "web_processes": ("mockmarket_web_processes", "Web processes with a lease."),
}
_ENGINE_TOTALS: Final = {
    "ticks": ("mockmarket_ticks", "Ticks merged since the engine started."),
    "rows_published": ("mockmarket_rows_published", "Rows published since the engine started."),
    "frames_dropped": ("mockmarket_frames_dropped", "Frames that the engine could not take."),
    "redis_failures": ("mockmarket_redis_failures", "Times that Redis was away."),
    "keep_failures": ("mockmarket_keep_failures", "Records that the engine could not keep."),
}


def exposition(*, at: datetime) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Now(at))
    return generate_latest(registry)


class _Now(Collector):
    """Everything at one instant."""

    def __init__(self, at: datetime) -> None:
        self._at = at

    def collect(self) -> Iterator[Metric]:
        yield from _engine(at=self._at)
        yield from _orders(at=self._at)
        yield from _jobs(at=self._at)
        yield from _stores()
        yield from _quota()


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _heartbeat() -> dict[str, Any]:
    try:
        raw = redis.client().get(redis.key(*health.ENGINE_HEARTBEAT))
    except redis_errors.RedisError:
        return {}
    return dict(msgspec.json.decode(raw)) if isinstance(raw, bytes) else {}


def _engine(*, at: datetime) -> Iterator[Metric]:
    beat = _heartbeat()
    yield _gauge("mockmarket_engine_up", "1 while the engine's heart beats.", float(bool(beat)))
    if not beat:
        return
    age = (at - datetime.fromisoformat(beat["at"])).total_seconds()
    yield _gauge("mockmarket_engine_heartbeat_age_seconds", "Since its last beat.", max(0.0, age))
    yield _gauge(
        "mockmarket_lag_seconds", "Worst wait of a frame in the last second.", beat["lag_ms"] / 1000
    )
    for field, (name, text) in _ENGINE.items():
        yield _gauge(name, text, float(beat.get(field, 0)))
    for field, (name, text) in _ENGINE_TOTALS.items():
        yield CounterMetricFamily(name, text, value=float(beat.get(field, 0)))
    rejects = CounterMetricFamily(
        "mockmarket_ticks_rejected", "Ticks that cannot be true, by reason.", labels=["reason"]
    )
    for reason, count in sorted(beat.get("rejects", {}).items()):
        rejects.add_metric([str(reason)], float(count))
    yield rejects
    feed = beat.get("feed", {})
    connected = float(bool(feed.get("connected")))
    yield _gauge("mockmarket_feed_connected", "1 while the feed is connected.", connected)
    quiet = (feed.get("quiet_ms") or 0) / 1000
    yield _gauge("mockmarket_feed_quiet_seconds", "Since the last frame.", quiet)
    yield CounterMetricFamily(
        "mockmarket_feed_connects", "Times that the feed connected.", value=feed.get("connects", 0)
    )


def _orders(*, at: datetime) -> Iterator[Metric]:
    live = GaugeMetricFamily("mockmarket_orders_live", "Live orders.", labels=["status"])
    counted = Order.objects.filter(status__in=LIVE).values_list("status")
    for status, count in sorted(counted.annotate(count=Count("pk"))):
        live.add_metric([status], float(count))
    yield live
    waiting = OutboxEvent.objects.filter(
        published_at__isnull=True, created_at__lt=at - timedelta(seconds=5)
    )
    yield _gauge(
        "mockmarket_outbox_waiting", "Events untold for five seconds.", float(waiting.count())
    )
    members = GaugeMetricFamily(
        "mockmarket_portfolios", "Portfolios that are not left.", labels=["contest"]
    )
    joined = Portfolio.objects.filter(left_at__isnull=True).values_list("contest__slug")
    for slug, count in sorted(joined.annotate(count=Count("pk"))):
        members.add_metric([slug], float(count))
    yield members


def _jobs(*, at: datetime) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("mockmarket_jobs", "Jobs begun in a day.", labels=["state"])
    recent = JobRun.objects.filter(started_at__gte=at - timedelta(days=1)).values_list("state")
    for state, count in sorted(recent.annotate(count=Count("pk"))):
        jobs.add_metric([state], float(count))
    yield jobs
    try:
        beating = bool(redis.client().exists(redis.key("heartbeat", "celery")))
    except redis_errors.RedisError:
        beating = False
    yield _gauge("mockmarket_worker_up", "1 while beat and a worker live.", float(beating))


def _stores() -> Iterator[Metric]:
    wrong = health.failures()
    checks = GaugeMetricFamily("mockmarket_check", "1 while a check passes.", labels=["check"])
    for name in health.CHECKS:
        checks.add_metric([name], float(name not in wrong))
    yield checks
    standing = GaugeMetricFamily("mockmarket_alarm", "1 for an alarm that stands.", labels=["name"])
    for alarm in alarms.current():
        standing.add_metric([alarm.name], 1.0)
    yield standing


def _quota() -> Iterator[Metric]:
    used = GaugeMetricFamily(
        "mockmarket_upstox_calls", "Calls to Upstox inside each window.", labels=["window_seconds"]
    )
    allowed = GaugeMetricFamily(
        "mockmarket_upstox_calls_allowed", "The allowance of it.", labels=["window_seconds"]
    )
    try:
        spent = Limiter(name="standard").used()
    except redis_errors.RedisError:
        return
    for window in STANDARD:
        used.add_metric([str(window.seconds)], float(spent.get(window.seconds, 0)))
        allowed.add_metric([str(window.seconds)], float(window.calls))
    yield used
    yield allowed
