"""Writers of one process take turns on SQLite; with `timeout` 0 SQLite itself would not wait."""

import gc
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.backends.sqlite3.base import DatabaseWrapper as Polling
from django.db.utils import OperationalError

from mockmarket.core.databases.sqlite3 import base

pytestmark = pytest.mark.django_db  # lifts the guard against databases; uses files of its own
Open = Callable[..., Any]


@pytest.fixture
def connect(tmp_path: Path) -> Open:
    def made(kind: type[Polling] = base.DatabaseWrapper) -> Polling:
        settings = {
            **connections["default"].settings_dict,
            "NAME": str(tmp_path / "x.sqlite3"),
            "OPTIONS": {"transaction_mode": "IMMEDIATE", "timeout": 0},
        }
        return kind(settings, alias="turns")

    return made


def begin(connection: Any) -> None:
    connection.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def end(connection: Any) -> None:
    connection.commit()
    connection.set_autocommit(True)


def second(connect: Open, kind: type[Polling]) -> tuple[threading.Thread, list[str]]:
    """Another thread that begins, writes and commits; what became of it."""
    became: list[str] = []

    def write() -> None:
        connection = connect(kind)
        try:
            begin(connection)
            end(connection)
            became.append("done")
        except OperationalError as error:
            became.append(str(error))
        finally:
            connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    return thread, became


def test_the_second_waits_for_the_first(connect: Open) -> None:
    first = connect()
    begin(first)
    thread, became = second(connect, base.DatabaseWrapper)
    thread.join(0.2)
    assert became == []
    end(first)
    thread.join(10)
    assert became == ["done"]
    first.close()


def test_control_without_turns_it_is_refused(connect: Open) -> None:
    first = connect(Polling)
    begin(first)
    thread, became = second(connect, Polling)
    thread.join(10)
    assert became == ["database is locked"]
    end(first)
    first.close()


@pytest.mark.parametrize("way", ["rollback", "close", "forget", "refused"])
def test_the_turn_is_given_back_however_it_ends(
    connect: Open, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = connect()
    if way == "refused":
        other = connect(Polling)  # as another process would
        begin(other)
        with pytest.raises(OperationalError):
            begin(first)
        end(other)
        other.close()
    else:
        begin(first)
    if way == "forget":
        del first
        gc.collect()
    elif way == "rollback":
        first.rollback()
    else:
        first.close()
    thread, became = second(connect, base.DatabaseWrapper)
    thread.join(10)
    assert became == ["done"]


def test_nobody_waits_for_ever(connect: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "WAIT_SECONDS", 0.05)
    first = connect()
    begin(first)
    thread, became = second(connect, base.DatabaseWrapper)
    thread.join(10)
    assert became == ["database is locked by another transaction of this process"]
    end(first)
    first.close()
