"""The Celery application and every schedule of the product, in one place.

Beat is static and runs in UTC: database schedulers lost jobs at clock changes and
restarts (celery #6438, django-celery-beat #798). A schedule here only wakes a job;
whether there is something to do is decided by the job from the calendar, so a missed
or doubled beat changes nothing.
"""

import os
import warnings

from celery import Celery
from celery.schedules import crontab

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mockmarket.settings")

# Said on every start in a container; the systemd units run as a user of their own.
warnings.filterwarnings("ignore", message=r"\s*You're running the worker with superuser")

app = Celery("mockmarket")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Seconds for what repeats within a minute, crontab for the rest: a long interval timer starts
# anew with beat and may never fire.
app.conf.beat_schedule = {
    "fetch-quotes": {"task": "marketdata.tasks.fetch_quotes", "schedule": 5.0},
    "refresh-sentiment": {"task": "marketdata.tasks.refresh_sentiment", "schedule": 30.0},
    "refresh-news": {"task": "marketdata.tasks.refresh_news", "schedule": crontab(minute="*/2")},
    "refresh-screen": {
        "task": "marketdata.tasks.refresh_screen",
        "schedule": crontab(minute="*/5"),
    },
    "sweep-option-chains": {
        "task": "marketdata.tasks.sweep_option_chains",
        "schedule": crontab(),
    },
    "reconcile-market": {"task": "marketdata.tasks.reconcile", "schedule": crontab()},
    "reconcile-orders": {"task": "trading.tasks.reconcile", "schedule": 20.0},
    "settle-derivatives": {"task": "trading.tasks.settle_derivatives", "schedule": 20.0},
    "reconcile-portfolios": {
        "task": "portfolios.tasks.reconcile",
        "schedule": crontab(),
    },
    "send-webhooks": {"task": "mockmarket.core.tasks.send_webhooks", "schedule": 3.0},
    "prune": {"task": "mockmarket.core.tasks.prune", "schedule": crontab(minute=17)},
    "beat-heart": {"task": "marketdata.tasks.beat_heart", "schedule": crontab()},
}
