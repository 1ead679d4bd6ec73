"""Structured logs: one line an event, with its request's id, and no secret in it."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

HIDDEN = "[hidden]"
# Compared with the lower-case name of each value; a name that contains one of these is hidden.
SECRET_NAMES = (
    "password", "passwd", "secret", "token", "authorization", "cookie", "csrf", "session",
    "api_key", "apikey", "ticket", "join_code", "private_key",
)  # fmt: skip
# Secrets inside running text: bearer headers, addresses with a password, JWTs, own API tokens,
# and the usual `name=value` of query strings.
_SECRET_TEXT = (
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+"), rf"\1 {HIDDEN}"),
    (re.compile(r"(\w+://[^\s:/@]*):[^\s@/]+@"), rf"\1:{HIDDEN}@"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), HIDDEN),
    (re.compile(r"\bmm_[\w-]{16,}"), HIDDEN),
    (
        re.compile(r"(?i)\b((?:access_|refresh_)?token|password|ticket|code|secret)=[^&\s\"']+"),
        rf"\1={HIDDEN}",
    ),
)


def hide_text(text: str) -> str:
    """`text` without what looks like a credential."""
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def hide_secrets(
    logger: Any, method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: hides values by their name, and credentials inside text."""
    for name, value in event.items():
        event[name] = _hidden(name, value)
    return event


def _hidden(name: str, value: Any) -> Any:
    if any(part in name.lower() for part in SECRET_NAMES):
        return HIDDEN
    if isinstance(value, str):
        return hide_text(value)
    if isinstance(value, dict):
        return {key: _hidden(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden("", inner) for inner in value]
    return value


class DropExpected(logging.Filter):
    """Drops what every healthy server logs all day: closed keep-alives, probes."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "/healthz" not in record.getMessage() and "/readyz" not in record.getMessage()


def configuration(*, level: str, form: str) -> dict[str, Any]:
    """Django's LOGGING. `form`: "console" for people, "json" for machines."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # An exception becomes text before secrets are hidden, so that its message is covered too.
    rendered: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.UnicodeDecoder(),
        hide_secrets,
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty(), pad_event_to=0),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"expected": {"()": DropExpected}},
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": rendered,
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "structured",
                "filters": ["expected"],
            }
        },
        "root": {"handlers": ["stdout"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": level, "propagate": True},
            # Its request lines carry query strings; the request middleware logs without them.
            "django.server": {"handlers": [], "level": "WARNING", "propagate": True},
            "django.channels.server": {"handlers": [], "level": "WARNING", "propagate": True},
            "daphne": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING"},
            "celery": {"level": level},
            # "Received" and "succeeded" of every job, several a second; failures are errors.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "asyncio": {"level": "WARNING"},
        },
    }
