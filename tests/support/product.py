"""The real product, started as a user starts it: `manage.py up --demo` on a free port."""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.support import services
from tests.support.network import free_port
from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240
FLAVOURS = ("sqlite", "postgres")


class Product:
    """A running MockMarket with a folder, a database and a Redis of its own."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "up.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._began_at = 0

    def start(self) -> None:
        """Start it and wait until it is ready. Raises AssertionError with its log's end."""
        with self.log.open("ab") as output:
            self._began_at = output.tell()  # an earlier start has announced itself too
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up", "--demo", "--port", str(self.port)],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=services.end_with_parent,
            )
        try:
            eventually(lambda: self._ended() or self._announced(), seconds=START_SECONDS, poll=0.2)
            assert not self._ended()
        except AssertionError:
            self.stop()
            raise AssertionError(f"did not start:\n{self.output()[-6000:]}") from None

    def stop(self) -> None:
        """Ctrl-C, as a user would."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def password(self) -> str:
        """The one of all demo logins, as printed."""
        found = re.search(r"^password: (\S+)$", self.output(), re.MULTILINE)
        assert found, "no password was printed"
        return found[1]

    def output(self) -> str:
        """All that it printed."""
        return self.log.read_text(errors="replace")

    def pid_of(self, program: str) -> int:
        """The process id of one of its programs: web, engine, exchange, worker, beat, valkey.

        Waits while the program is being started again; a back-off is 30 s at most.
        """
        return eventually(lambda: self._pid_now(program), seconds=45, poll=0.2)

    def _pid_now(self, program: str) -> int:
        state = json.loads((self.folder / "up.json").read_text())
        return int(state["programs"][program]["pid"] or 0)

    def manage(self, *arguments: str, timeout: float = 600) -> str:
        """The output of `manage.py ...` against this product's database and Redis."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=timeout,
        ).stdout

    def _ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def _announced(self) -> bool:
        return b"Ctrl-C stops everything." in self.log.read_bytes()[self._began_at :]


def copy_of(seeded: Product, folder: Path) -> None:
    """The SQLite database and the secrets of another product, put into `folder`.

    Its tables and students need not be made anew, which is most of a first start.
    """
    with (
        closing(sqlite3.connect(seeded.folder / "db.sqlite3")) as source,
        closing(sqlite3.connect(folder / "db.sqlite3")) as target,
    ):
        source.backup(target)
    for name in ("secret_key", "demo_password"):
        shutil.copy(seeded.folder / name, folder)


@contextmanager
def running(flavour: str, *, like: Product | None = None, **settings: str) -> Iterator[Product]:
    """A product of one flavour: "sqlite" with embedded Valkey, or "postgres" with Redis.

    `like` gives it the database of another one; `settings` are environment variables on top. What
    was used is printed.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if name in {"PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR"}
    }
    with tempfile.TemporaryDirectory(prefix="mm-product-") as name:
        folder = Path(name)
        environment = {**clean, "VAR_DIR": name, "REDIS_PREFIX": folder.name, **settings}
        ending: list[Callable[[], None]] = []
        try:
            if flavour == "postgres":
                environment |= _postgres_and_redis(ending)
            if like is not None:
                copy_of(like, folder)
            print(f"\nproduct: {flavour}", environment.get("DATABASE_URL", "SQLite"))  # noqa: T201
            product = Product(folder, environment)
            ending.append(product.stop)
            product.start()
            yield product
        finally:
            for end in reversed(ending):
                end()


def _postgres_and_redis(ending: list[Callable[[], None]]) -> dict[str, str]:
    found = services.found_postgres()
    if found is None:
        server = services.start_postgres()
        ending.append(server.stop)
        found = server.url
    redis = services.start_redis()
    ending.append(redis.stop)
    name = f"mm_product_{uuid.uuid4().hex[:8]}"
    url = services.create_database(found, name)
    ending.append(lambda: services.drop_database(found, name))
    return {"DATABASE_URL": url, "REDIS_URL": redis.url}
