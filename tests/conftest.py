"""What every test may use. Redis is real: REDIS_URL where set, else a private Valkey."""

import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.core.management.color import Style
from django.db import OperationalError, connection
from django.db.backends.sqlite3.base import DatabaseOperations
from django.db.backends.utils import CursorWrapper
from django.utils import translation

from tests.support import services

ROOT = Path(settings.BASE_DIR)
SHARED_DATA = ROOT.parent / "shared" / "data"
BROWSER_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FLUSHES_MAX = 5
DEAD_ROWS_BYTES_MAX = 1 << 20
# Files that start servers or search for long, in few tests. xdist's own order, by the number of
# tests, puts them last; scripts/test.sh turns it off.
LONG = {
    "test_backups.py", "test_client.py", "test_schemathesis.py", "test_faults.py", "test_files.py",
    "test_run_market.py", "test_engine_killed.py", "test_retry_storm.py", "test_state_machine.py",
    "test_every_page.py",
}  # fmt: skip
_private: list[services.Server] = []


def pytest_configure(config: pytest.Config) -> None:
    """Give the run its Redis. xdist's workers inherit it from the controlling process."""
    config.addinivalue_line("markers", "journey: drives the running product in a browser")
    config.addinivalue_line("markers", "fault: long; only `make faults` runs it")
    config.addinivalue_line("markers", "postgres: needs PostgreSQL; skipped on SQLite")
    settings.PASSWORD_HASHERS = ["tests.support.hashing.QuickHasher", *settings.PASSWORD_HASHERS]
    if not os.environ.get("REDIS_URL"):
        server = services.start_redis()
        _private.append(server)
        os.environ["REDIS_URL"] = server.url
    _use_redis(os.environ["REDIS_URL"], os.environ.get("PYTEST_XDIST_WORKER", "main"))
    # Each test client would list 550 static files and pages of documentation anew, for 100 ms of
    # the processor; so they are looked for when they are asked for.
    settings.WHITENOISE_AUTOREFRESH = True


def pytest_unconfigure() -> None:
    """End the private Redis."""
    for server in _private:
        server.stop()


@pytest.hookimpl(trylast=True, specname="pytest_collection_modifyitems")
def longest_first(items: list[pytest.Item]) -> None:
    """Begin with the files that take long: begun last, one of them keeps a worker alone."""
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep a file on one worker, where its servers start once. Leave out what needs a server that
    is not there, and say so."""
    for item in items:
        if not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_group(item)))
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        skip = pytest.mark.skip(reason="needs PostgreSQL (DATABASE_URL)")
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(skip)
    if not config.option.markexpr:
        for item in items:
            if item.get_closest_marker("fault"):
                item.add_marker(pytest.mark.skip(reason="long: make faults"))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fail where groups are lost: with pytest 9.2 they were for weeks, and every server of a file
    was started on each worker, in no order (pytest-xdist's issue 1386)."""
    grouped = session.config.getoption("loadgroup", default=False)
    if grouped and any("@" not in item.nodeid for item in session.items):
        raise pytest.UsageError("this pytest-xdist does not group the tests of this pytest")
    # What is collected stays to the end: full collections need not visit it.
    gc.freeze()


def _group(item: pytest.Item) -> str:
    """A journey goes with the others on the same running product, anything else with its file."""
    flavour = item.callspec.params.get("product") if hasattr(item, "callspec") else None
    if flavour and "journeys" in item.path.parts:
        return f"product on {flavour}"
    return str(item.path.relative_to(ROOT))


def _use_redis(url: str, worker: str) -> None:
    prefix = f"{settings.REDIS_PREFIX}-{worker}"
    settings.REDIS_URL = url
    settings.REDIS_PREFIX = prefix
    settings.CELERY_BROKER_URL = url
    settings.CHANNEL_LAYERS["default"]["CONFIG"] |= {"hosts": [{"address": url}], "prefix": prefix}
    settings.CACHES["default"] |= {"LOCATION": url, "KEY_PREFIX": f"{prefix}:cache"}


@pytest.fixture(scope="module", autouse=True)
def _fresh_redis() -> None:
    """Each file begins without what another left in Redis: files come in any order."""
    client = redis.Redis.from_url(settings.REDIS_URL)
    with suppress(redis.RedisError):
        if names := list(client.scan_iter(f"{settings.REDIS_PREFIX}*", count=1000)):
            client.delete(*names)
    client.close()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None,
) -> Iterator[None]:
    """Create and drop the test database without the limits of a request: five seconds are not
    enough where much else runs, and what is not dropped fails the next run."""
    without_database = connection._nodb_cursor  # type: ignore[attr-defined]

    @contextmanager
    def patient() -> Iterator[CursorWrapper]:
        with without_database() as cursor:
            cursor.execute("SET statement_timeout = 0; SET lock_timeout = 0")
            yield cursor

    if connection.vendor == "postgresql":
        connection._nodb_cursor = patient  # type: ignore[attr-defined]
    yield
    connection._nodb_cursor = without_database  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """A request in Hindi leaves its language to the thread, and so to the next test."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session", autouse=True)
def _flush_again_after_a_deadlock() -> Iterator[None]:
    """A web process that outlives the test may hold a row while the flush takes the tables."""
    flush = connection.ops.execute_sql_flush

    def patient(sql_list: list[str]) -> None:
        for attempt in range(1, FLUSHES_MAX + 1):
            try:
                flush(sql_list)
            except OperationalError:
                if attempt == FLUSHES_MAX:
                    raise
                time.sleep(0.5)
            else:
                return

    if connection.vendor == "postgresql":
        connection.ops.execute_sql_flush = patient
    yield
    connection.ops.execute_sql_flush = flush


@pytest.fixture(scope="session", autouse=True)
def _flush_by_deleting() -> Iterator[None]:
    """TRUNCATE makes new files for 59 tables and all their indexes, whatever they held: 1.1 to
    1.6 s after each test with `transaction=True`, where deleting some rows takes 0.01 s. What was
    deleted or rolled back stays in the file, so a large one is made new: else every later
    statement reads past it (the state machine's last part took 44 s instead of 28)."""
    truncating = connection.ops.sql_flush

    def deleting(
        style: Style,
        tables: list[str],
        *,
        reset_sequences: bool = False,
        allow_cascade: bool = False,
    ) -> list[str]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT bool_and(usesuper), max(pg_relation_size(c.oid)) < %s"
                " FROM pg_user, pg_class c WHERE usename = current_user"
                " AND relkind = 'r' AND relnamespace = 'public'::regnamespace",
                [DEAD_ROWS_BYTES_MAX],
            )
            if reset_sequences or cursor.fetchone() != (True, True):
                return truncating(
                    style, tables, reset_sequences=reset_sequences, allow_cascade=allow_cascade
                )
        # Lifts foreign keys and the triggers that refuse DELETE until the transaction ends.
        lifted = "SET LOCAL session_replication_role = replica"
        names = map(connection.ops.quote_name, tables)
        return [lifted, *(f"DELETE FROM {name}" for name in names)]  # noqa: S608 (our own names)

    if connection.vendor == "postgresql":
        connection.ops.sql_flush = deleting
    yield
    connection.ops.sql_flush = truncating


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real instrument files and recorded sessions, where this machine has them."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no recorded data at {SHARED_DATA}")
    return SHARED_DATA


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: the one of this machine, or a private one."""
    found = services.found_postgres()
    if found is not None:
        yield found
        return
    server = services.start_postgres()
    yield server.url
    server.stop()


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    """Debian's Chromium, as root, without a display."""
    return {
        **browser_type_launch_args,
        "executable_path": os.environ.get("CHROMIUM", "/usr/bin/chromium"),
        "args": BROWSER_ARGUMENTS,
    }


@pytest.fixture(scope="session", autouse=True)
def _flush_append_only_tables() -> Iterator[None]:
    """Let the flush after a `transaction=True` test empty tables that refuse DELETE.

    PostgreSQL truncates, which row triggers do not see; SQLite deletes, so the triggers are
    lifted for the flush alone and put back as they were.
    """
    flush = DatabaseOperations.execute_sql_flush

    def lifted(self: DatabaseOperations, sql_list: list[str]) -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND"
                " sql LIKE '%BEFORE DELETE%'"
            )
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f'DROP TRIGGER "{name}"')
        try:
            flush(self, sql_list)
        finally:
            with connection.cursor() as cursor:
                for _, sql in triggers:
                    cursor.execute(sql)

    DatabaseOperations.execute_sql_flush = lifted  # type: ignore[method-assign]
    yield
    DatabaseOperations.execute_sql_flush = flush  # type: ignore[method-assign]
