"""`manage.py serve`: one web process, HTTP and WebSocket."""

import gc
import importlib
import socket
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from mockmarket.core.servers import limits

# How long a page's thread may keep the interpreter while the stream's loop wants it. With Python's
# 5 ms, each page view and each audit delays a beat by several such turns.
SWITCH_SECONDS = 0.001


class Command(BaseCommand):
    help = "Serve pages, API and the stream from one process."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--server", choices=("uvicorn", "daphne"), default=settings.WEB_SERVER)
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--fd", type=int, help="A listening socket to inherit instead.")

    def handle(self, *args: Any, **options: Any) -> None:
        from mockmarket.asgi import application

        server = importlib.import_module(f"mockmarket.core.servers.{options['server']}")
        if connection.vendor == "postgresql":
            from mockmarket.core.databases import postgresql

            postgresql.bound_answers()
        # What is loaded now lives as long as the process: full collections need not visit it.
        gc.collect()
        gc.freeze()
        sys.setswitchinterval(SWITCH_SECONDS)
        server.serve(application=application, listener=_listener(**options))


def _listener(*, fd: int | None, host: str, port: int, **_: Any) -> socket.socket:
    if fd is not None:
        return socket.socket(fileno=fd)
    try:
        return limits.listen(host=host, port=port)
    except OSError as error:
        raise CommandError(f"cannot serve on {host}:{port}: {error.strerror}") from error
