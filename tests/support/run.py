"""Runs a command with the servers that tests want: `python -m tests.support.run pytest ...`.

DATABASE_URL and REDIS_URL are kept where set; otherwise PostgreSQL is found on this machine or
started, and a private Valkey is started. What is used is printed.
"""

import os
import subprocess
import sys

from tests.support import services


def main(command: list[str]) -> int:
    """The command's exit code."""
    ending = []
    # OpenBLAS ends its threads before each fork, and waits for ever for one that begins in that
    # moment: seen in the prices of an exchange beside the start of an engine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        if not os.environ.get("DATABASE_URL"):
            found = services.found_postgres()
            if found is None:
                server = services.start_postgres()
                ending.append(server)
                found = server.url
            os.environ["DATABASE_URL"] = found.rsplit("/", 1)[0] + "/mm_tests"
            print("database:", "found" if not ending else "started", found, flush=True)  # noqa: T201
        if not os.environ.get("REDIS_URL"):
            redis = services.start_redis()
            ending.append(redis)
            os.environ["REDIS_URL"] = redis.url
            print("Redis: started", redis.url, flush=True)  # noqa: T201
        return subprocess.run([sys.executable, "-m", *command], check=False).returncode
    finally:
        for server in reversed(ending):
            server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
