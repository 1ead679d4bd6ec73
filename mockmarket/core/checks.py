"""System checks: settings that would hurt in production, found by `manage.py check --deploy`."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from mockmarket.core.processes import MARKET_SOURCES, WEB_SERVERS


@register()
def choices(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Settings that name one of a few things name one of them."""
    found: list[CheckMessage] = []
    if settings.WEB_SERVER not in WEB_SERVERS:
        found.append(
            Error(
                f"WEB_SERVER is {settings.WEB_SERVER!r}",
                hint=f"Choose one of {', '.join(WEB_SERVERS)}.",
                id="mockmarket.E001",
            )
        )
    if settings.MARKET_SOURCE not in MARKET_SOURCES:
        found.append(
            Error(
                f"MARKET_SOURCE is {settings.MARKET_SOURCE!r}",
                hint=f"Choose one of {', '.join(MARKET_SOURCES)}.",
                id="mockmarket.E002",
            )
        )
    return found


@register(Tags.security, deploy=True)
def production(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """What runs on a laptop and fails on a campus server."""
    found: list[CheckMessage] = []
    sqlite = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    if settings.SECRET_KEY_GENERATED:
        found.append(
            Warning(
                "SECRET_KEY is generated and kept in VAR_DIR",
                hint="Set SECRET_KEY, the same on every machine, and keep it with the backups.",
                id="mockmarket.W001",
            )
        )
    if sqlite and settings.WEB_PROCESSES > 1:
        found.append(
            Warning(
                "several web processes share one SQLite file",
                hint="Set DATABASE_URL to PostgreSQL, or WEB_PROCESSES to 1.",
                id="mockmarket.W002",
            )
        )
    if not settings.ALLOWED_ORIGINS:
        found.append(
            Warning(
                "ALLOWED_ORIGINS is empty",
                hint="Set it to the site's address, as https://trade.example.edu.",
                id="mockmarket.W003",
            )
        )
    if settings.REDIS_EMBEDDED:
        found.append(
            Warning(
                "REDIS_URL is unset: only `manage.py up` starts an embedded server",
                hint="Set REDIS_URL to a Redis or Valkey server.",
                id="mockmarket.W004",
            )
        )
    return found
