"""Installations that are not started: a database, its commands, a Redis between them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support import services
from tests.support.product import ROOT, Product

KEY = "correct horse battery staple"
DIGEST = """
import json
from portfolios.models import Posting, Portfolio
rows = list(Posting.objects.order_by("entry__portfolio_id", "entry__seq", "account").values_list(
    "entry__portfolio_id", "entry__seq", "account", "amount"))
heads = dict(Portfolio.objects.values_list("pk", "entry_seq"))
print(json.dumps({"rows": [[p, s, a, str(m)] for p, s, a, m in rows], "heads": heads}))
"""


class Installation(Product):
    """A product that is not started: only its database and its commands."""

    def books(self) -> dict[str, Any]:
        """Every posting, and the last entry of each portfolio."""
        return json.loads(self.manage("shell", "-v", "0", "-c", DIGEST))

    def tried(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        """A command that may fail or be killed."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env={**self.environment, **environment},
            check=False,
            capture_output=True,
            text=True,
            timeout=600,
        )

    @contextmanager
    def written_to(self) -> Iterator["subprocess.Popen[str]"]:
        """Somebody writes to its books within the block, and prints a line a committed entry."""
        with subprocess.Popen(
            [sys.executable, "-m", "tests.support.ledger_load"],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            yield writer
            if writer.poll() is None:
                assert writer.stdin is not None
                writer.stdin.close()
                writer.wait(60)


@contextmanager
def installations(flavour: str, *folders: Path) -> Iterator[list[Installation]]:
    """One in each folder, with empty databases of one kind ("sqlite" or "postgres")."""
    with ExitStack() as ending:
        redis = services.start_redis()
        ending.callback(redis.stop)
        server = None
        if flavour == "postgres":
            server = services.found_postgres()
            if server is None:
                own = services.start_postgres()
                ending.callback(own.stop)
                server = own.url
        made = []
        for folder in folders:
            environment = {
                "PATH": "/usr/bin:/bin",
                "HOME": "/tmp",  # noqa: S108 - nothing is written there
                "VAR_DIR": str(folder),
                "REDIS_URL": redis.url,
                "BACKUP_KEY": KEY,
            }
            if server is not None:
                database = f"mm_{folder.name}_{folder.stat().st_ino}".replace(" ", "_")
                environment["DATABASE_URL"] = services.create_database(server, database)
                ending.callback(services.drop_database, server, f"{database}_proof")
                ending.callback(services.drop_database, server, database)
            made.append(Installation(folder, environment))
        yield made
