"""What staff must know at a glance: each line green unless a person is needed, and then what to do.

Read from the engine's and the workers' heartbeats, the web processes' leases and the database.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
import redis as redis_errors
from django.conf import settings
from django.db.models import Count
from django.utils.translation import gettext as _

from marketdata import selectors
from marketdata.status import frames_due
from marketdata.upstox.limiter import STANDARD, Limiter
from mockmarket.core import alarms, health, redis
from mockmarket.core.formats import ist_time, number
from mockmarket.core.models import JobRun, OutboxEvent
from trading.lifecycle import LIVE
from trading.models import Fill, Order

LAG_MS_MAX: Final = 250
FEED_QUIET_MS_MAX: Final = 10_000
OUTBOX_WAITING_MAX: Final = 100
JOBS_SHOWN: Final = 8
STUCK_AFTER: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Line:
    """One fact. `state` is ok, warn or bad; `remedy` says what to do when it is not ok."""

    name: str
    value: str
    state: str = "ok"
    remedy: str = ""


def groups(*, at: datetime) -> list[tuple[str, list[Line]]]:
    """The lines of the page by heading."""
    beat = _heartbeat()
    return [
        (_("Feed"), _feed(beat, at=at)),
        (_("Engine"), _engine(beat)),
        (_("Stream"), _stream(beat)),
        (_("Work in the background"), _jobs(at=at)),
        (_("Orders"), _orders(at=at)),
        (_("Stores"), _stores()),
        (_("Alarms"), _alarms()),
    ]


def red_lines(found: list[tuple[str, list[Line]]]) -> list[Line]:
    """What needs a person now."""
    return [line for _title, lines in found for line in lines if line.state == "bad"]


def _read(name: str) -> bytes | None:
    try:
        value = redis.client().get(redis.key("heartbeat", name))
    except redis_errors.RedisError:
        return None
    return value if isinstance(value, bytes) else None


def _heartbeat() -> dict[str, Any]:
    """The engine's newest heartbeat; empty when it is silent."""
    raw = _read("engine")
    return {} if raw is None else dict(msgspec.json.decode(raw))


def _feed(beat: dict[str, Any], *, at: datetime) -> list[Line]:
    lines = [Line(_("Source"), settings.MARKET_SOURCE)]
    lines += _connection(beat, at=at) if beat else [_unknown(_("Connection"))]
    return [*lines, _quota()]


def _unknown(name: str) -> Line:
    """What only the engine knows, while it is silent; the line of the engine says what to do."""
    return Line(name, _("not known"), "warn", _("The engine is silent; see its own line."))


def _connection(beat: dict[str, Any], *, at: datetime) -> list[Line]:
    feed = beat.get("feed", {})
    status = selectors.market_status(at=at)
    closed = status["status"] == "closed"
    connected = bool(feed.get("connected"))
    quiet = feed.get("quiet_ms") or 0
    rejects = sum(beat.get("rejects", {}).values())
    lost = not connected and not closed
    # A closed market and an auction are silent with good reason.
    due = frames_due(at=at, calendar=selectors.calendar())
    return [
        Line(
            _("Connection"),
            _("connected") if connected else feed.get("reason") or _("not connected"),
            "bad" if lost else "ok",
            _("Check the network and the broker token; the engine keeps trying by itself."),
        ),
        Line(
            _("Last frame"),
            f"{number(quiet, places=0)} ms",
            "bad" if quiet > FEED_QUIET_MS_MAX and due and connected else "ok",
            _("The feed is silent: prices come from REST. If it lasts, restart the engine."),
        ),
        Line(_("Instruments on the feed"), number(feed.get("subscribed", 0), places=0)),
        Line(
            _("Rejected prices"),
            f"{number(rejects, places=0)} {_reasons(beat.get('rejects', {}))}".rstrip(),
            "warn" if rejects > 1000 else "ok",
            _("Many prices failed the sanity checks; see the engine's log for the reasons."),
        ),
    ]


def _reasons(rejects: dict[str, int]) -> str:
    """The most frequent reasons, in the gate's own words: (off_band 12, crossed_book 3)."""
    found = sorted(rejects.items(), key=lambda pair: -pair[1])[:4]
    return f"({', '.join(f'{reason} {count}' for reason, count in found)})" if found else ""


def _quota() -> Line:
    """Calls of the longest window against the allowance."""
    window = STANDARD[-1]
    used = Limiter(name="standard").used().get(int(window.seconds), 0)
    state = "bad" if used >= window.calls else "warn" if used > 0.8 * window.calls else "ok"
    return Line(
        _("API calls in %(minutes)d min") % {"minutes": window.seconds // 60},
        f"{number(used, places=0)} / {number(window.calls, places=0)}",
        state,
        _("The allowance is nearly spent; sweeps slow down by themselves. Avoid manual imports."),
    )


def _engine(beat: dict[str, Any]) -> list[Line]:
    if not beat:
        return [
            Line(
                _("Heartbeat"),
                _("none"),
                "bad",
                _("The market engine is down: no order is filled. Start it: manage.py run_market."),
            )
        ]
    lag = beat.get("lag_ms") or 0
    return [
        Line(_("Heartbeat"), _("alive")),
        Line(
            _("Lag from frame to page"),
            f"{number(lag, places=0)} ms",
            "warn" if lag > LAG_MS_MAX else "ok",
            _("The machine is busy: see what else runs on it."),
        ),
        Line(_("Ticks a second, in"), number(beat.get("ticks_per_second", 0), places=0)),
        Line(_("Batches a second, out"), number(beat.get("batches_per_second", 0), places=1)),
        Line(
            _("Frames dropped"),
            number(beat.get("frames_dropped", 0), places=0),
            "warn" if beat.get("frames_dropped") else "ok",
            _("The engine could not keep up at some moment; prices caught up since."),
        ),
    ]


def _stream(beat: dict[str, Any]) -> list[Line]:
    if not beat:
        return [_unknown(_("Sockets"))]
    return [
        Line(_("Web processes"), number(beat.get("web_processes", 0), places=0)),
        Line(_("Sockets"), number(beat.get("sockets", 0), places=0)),
        Line(_("Users connected"), number(beat.get("users", 0), places=0)),
        Line(_("Instruments watched"), number(beat.get("watched", 0), places=0)),
    ]


def _jobs(*, at: datetime) -> list[Line]:
    alive = _read("celery")
    lines = [
        Line(
            _("Worker and beat"),
            _("alive") if alive else _("silent"),
            "ok" if alive else "bad",
            _("Closing prices, snapshots and news wait. Start the Celery worker and beat."),
        )
    ]
    recent = JobRun.objects.filter(started_at__gte=at - timedelta(days=1))
    counts = dict(recent.values_list("state").annotate(Count("pk")))
    failed = list(recent.filter(state=JobRun.State.FAILED).order_by("-started_at")[:5])
    lines.append(Line(_("Jobs done in a day"), number(counts.get("DONE", 0), places=0)))
    lines += [
        Line(
            _job_name(job.job),
            _("failed"),
            "bad",
            _("It is tried again each minute; read its detail in the administration."),
        )
        for job in failed
    ]
    shown = recent.exclude(state=JobRun.State.FAILED).order_by("-started_at", "-key", "job")
    words = {"DONE": _("done"), "RUNNING": _("running")}
    lines += [
        Line(
            f"{_job_name(job.job)} {job.key}",
            f"{words[job.state]}, {ist_time(job.finished_at or job.started_at)}",
        )
        for job in shown[:JOBS_SHOWN]
    ]
    stuck = recent.filter(state=JobRun.State.RUNNING, started_at__lt=at - STUCK_AFTER)
    lines += [
        Line(
            _job_name(job.job),
            _("running for long"),
            "warn",
            _("Restart the worker if it does not end."),
        )
        for job in stuck[:5]
    ]
    return lines


def _job_name(job: str) -> str:
    """A job as staff call it: "closing:NSE_EQ" is "Closing prices NSE_EQ"."""
    kind, _colon, market = job.partition(":")
    names = {
        "closing": _("Closing prices"),
        "portfolio-close": _("End-of-day books"),
        "instruments": _("Instrument list"),
        "prune": _("Clean-up"),
    }
    return f"{names.get(kind, kind)} {market}".rstrip()


def _orders(*, at: datetime) -> list[Line]:
    waiting = OutboxEvent.objects.filter(
        published_at__isnull=True, created_at__lt=at - timedelta(seconds=5)
    ).count()
    return [
        Line(_("Live orders"), number(Order.objects.filter(status__in=LIVE).count(), places=0)),
        Line(
            _("Waiting for a fresh price"),
            number(Order.objects.filter(status="WAITING_FRESH_QUOTE").count(), places=0),
        ),
        Line(
            _("Fills in the last hour"),
            number(Fill.objects.filter(filled_at__gte=at - timedelta(hours=1)).count(), places=0),
        ),
        Line(
            _("Events not yet told"),
            number(waiting, places=0),
            "bad" if waiting > OUTBOX_WAITING_MAX else "ok",
            _("Redis or the engine is away; nothing is lost, pages are told when it is back."),
        ),
    ]


def _stores() -> list[Line]:
    """The checks of readyz, in words."""
    wrong = health.failures()
    names = {"database": _("Database"), "redis": "Redis", "migrations": _("Migrations")}
    return [
        Line(
            label,
            wrong.get(code, _("good")),
            "bad" if code in wrong else "ok",
            _("See docs/operations for this store."),
        )
        for code, label in names.items()
    ]


def _alarms() -> list[Line]:
    lines = [Line(one.name, one.message, "bad", one.message) for one in alarms.current()]
    return lines or [Line(_("Alarms"), _("none"))]
