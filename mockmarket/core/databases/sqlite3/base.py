"""Django's SQLite with a queue before BEGIN IMMEDIATE.

SQLite lets one transaction write at a time, and a second one polls with pauses that grow to 100 ms,
so that with fifty threads placing orders the file stands idle while all of them sleep. Threads of
one process therefore wait for each other here, without a pause; between processes SQLite's own
polling remains.
"""

import os
import threading
from typing import Any, Final

from django.db.backends.sqlite3 import base
from django.db.utils import OperationalError

WAIT_SECONDS: Final = 20.0  # as long as SQLite itself would poll (`timeout` in the settings)


class _Turn:
    """The right to write, of one connection. Given back at the latest when that is forgotten."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock: threading.Lock | None = lock if lock.acquire(timeout=WAIT_SECONDS) else None
        self.taken = self._lock is not None

    def end(self) -> None:
        """Calling it again does no harm."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    __del__ = end


_locks: dict[str, threading.Lock] = {}
# A child has none of its parent's threads, so nobody there would ever give a lock back.
os.register_at_fork(after_in_child=_locks.clear)


class DatabaseWrapper(base.DatabaseWrapper):
    """One writing transaction at a time for each database file."""

    _turn: _Turn | None = None

    def _start_transaction_under_autocommit(self) -> None:
        name = str(self.settings_dict["NAME"])
        turn = _Turn(_locks.setdefault(name, threading.Lock()))
        if not turn.taken:
            raise OperationalError("database is locked by another transaction of this process")
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        except BaseException:
            turn.end()
            raise
        self._turn = turn

    def _commit(self) -> Any:
        result = super()._commit()  # type: ignore[misc]
        self._end_turn()  # not after a failed commit: the rollback follows
        return result

    def _rollback(self) -> Any:
        try:
            return super()._rollback()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _close(self) -> Any:
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.end()
