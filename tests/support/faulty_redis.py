"""A Redis of a test's own, which it may kill, pause and start again."""

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from mockmarket.core import redis
from mockmarket.core.processes import valkey_command
from tests.support.network import free_port, is_open
from tests.support.services import end_with_parent
from tests.support.waiting import eventually


class OwnRedis:
    """A Redis that a test may kill."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = tempfile.TemporaryDirectory(prefix="mm-redis-")
        self.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Begin, empty."""
        self.process = subprocess.Popen(
            valkey_command(port=self.port, folder=Path(self.folder.name)),
            stdout=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        eventually(lambda: is_open(self.port), seconds=20)

    def pause(self) -> None:
        """Answer nobody, and end no connection."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End without a word."""
        self.process.kill()
        self.process.wait()
        for file in Path(self.folder.name).iterdir():
            file.unlink()  # nothing it knew survives

    def close(self) -> None:
        """The end of the test."""
        self.process.kill()
        self.process.wait()
        self.folder.cleanup()


@pytest.fixture
def own_redis(settings: Settings) -> Iterator[OwnRedis]:
    """This process's and its servers' Redis for one test."""
    server = OwnRedis()
    settings.REDIS_URL = server.url
    redis.client.cache_clear()
    yield server
    redis.client.cache_clear()
    server.close()
