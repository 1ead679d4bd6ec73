"""What should be true of contests by now is made true, each minute: starts, ends, closes, metrics.

Level-triggered: every step asks the calendar and the rows what is due, so a missed or doubled
beat changes nothing.
"""

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta

from django.db.models import Q

from marketdata import selectors as market
from marketdata import sessions
from mockmarket.core.models import JobRun
from portfolios import contests, history, rows, scoring, services, standings
from portfolios.models import Contest, Portfolio, PortfolioSnapshot

log = logging.getLogger(__name__)

CLOSE_DELAY = timedelta(minutes=1)  # prices of the last auction are in by then
CLOSE_LATE = timedelta(hours=2)
CLOSE_JOB = "portfolio-close"
MINUTES_KEPT = timedelta(days=2)


def reconcile(*, at: datetime) -> dict[str, object]:
    """Do what is due at `at`; what each step did, by name. One failure keeps no other from it."""
    steps: dict[str, Callable[[], object]] = {
        "practice": lambda: services.follow_practice_setting(at=at),
        "states": lambda: move_states(at=at),
        "close": lambda: take_close(at=at),
        "prune": lambda: prune_minutes(at=at),
    }
    done: dict[str, object] = {}
    for name, step in steps.items():
        try:
            done[name] = step()
        except Exception as error:
            log.exception("upkeep of portfolios failed", extra={"step": name})
            done[name] = repr(error)
    return done


# --- Starts and ends --------------------------------------------------------------------
def move_states(*, at: datetime) -> list[str]:
    """Start the contests whose time has come and finish those whose time is over."""
    moved = []
    due = Contest.objects.filter(
        Q(state=Contest.State.OPEN, starts_at__lte=at)
        | Q(state__in=[Contest.State.RUNNING, Contest.State.FROZEN], ends_at__lte=at)
    ).order_by("id")
    for contest in due:
        starting = contest.state == Contest.State.OPEN
        state = Contest.State.RUNNING if starting else Contest.State.FINISHED
        services.change_state(
            contest=contest,
            state=state,
            actor=None,
            reason="Its start has come." if starting else "Its end has come.",
            at=at,
        )
        moved.append(f"{contest.slug}: {state}")
    return moved


# --- Closes -----------------------------------------------------------------------------
def take_close(*, at: datetime) -> str | None:
    """Once after each session's final close: every portfolio's equity, kept for ever, then the
    metrics of every live contest. Returns the session's date, None when nothing was due."""
    due = _session_to_close(at=at)
    if due is None:
        return None
    day, closed_at = due
    key = day.isoformat()
    if JobRun.objects.filter(job=CLOSE_JOB, key=key, state=JobRun.State.DONE).exists():
        return None
    run, _ = JobRun.objects.update_or_create(
        job=CLOSE_JOB, key=key, defaults={"started_at": at, "state": JobRun.State.RUNNING}
    )
    live = list(Contest.objects.filter(state__in=contests.LIVE).order_by("id"))
    stored = sum(store_close(contest=contest, closed_at=closed_at, at=at) for contest in live)
    for contest in live:
        scoring.compute_metrics(contest=contest, at=at)
    run.state, run.finished_at, run.detail = JobRun.State.DONE, at, {"portfolios": stored}
    run.save(update_fields=["state", "finished_at", "detail"])
    return key


def _session_to_close(*, at: datetime) -> tuple[date, datetime] | None:
    """The newest session that has closed, with its final close, while its prices still stand:
    until the next one opens, or for CLOSE_LATE in a market that never pauses."""
    calendar = market.calendar()
    today = rows.session_date(at=at)
    before = sessions.previous_session(market=rows.MARKET, day=today, calendar=calendar)
    for day in (today, before):
        closed_at = sessions.final_close(market=rows.MARKET, day=day, calendar=calendar)
        if closed_at is None or at < closed_at + CLOSE_DELAY:
            continue
        following = sessions.next_session(market=rows.MARKET, day=day, calendar=calendar)
        opens = sessions.continuous(market=rows.MARKET, day=following, calendar=calendar)
        deadline = max(closed_at + CLOSE_LATE, *(start for start, _ in opens[:1]))
        return (day, closed_at) if at < deadline else None
    return None


def store_close(*, contest: Contest, closed_at: datetime, at: datetime) -> int:
    """One contest's closes at the newest quotes; those stored before stay as they were."""
    part = standings.recompute(contest=contest, at=at)
    cash = dict(Portfolio.objects.filter(contest=contest).values_list("id", "cash"))
    points = [
        history.Point(
            portfolio_id=int(key), taken_at=closed_at, equity=float(equity), cash=cash[int(key)]
        )
        for key, equity in zip(part.ids, part.equity, strict=True)
    ]
    return history.store(
        points=points, kind=PortfolioSnapshot.Kind.CLOSE, benchmark=history.benchmark(at=at)
    )


def prune_minutes(*, at: datetime) -> int:
    """Remove the minutes of sessions past; the number of rows."""
    old = PortfolioSnapshot.objects.filter(
        kind=PortfolioSnapshot.Kind.MINUTE, taken_at__lt=at - MINUTES_KEPT
    )
    keys = list(old.values_list("pk", flat=True)[:20_000])
    removed: int = PortfolioSnapshot.objects.filter(pk__in=keys).delete()[0] if keys else 0
    return removed
