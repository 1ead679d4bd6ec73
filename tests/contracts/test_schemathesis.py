"""Every operation of the OpenAPI document, tried with what fits its schema and what does not.

Requests go through the whole Django stack in this process, as a student and as staff, against a
world where each kind of object exists. `make test` tries the document's examples, the bounds of
every parameter and field, and a few random requests; `make faults` many random ones.
"""

import json
import logging
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core import signals
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connection, transaction
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.pytest.lazy import get_all_tests
from schemathesis.specs.openapi.checks import ignored_auth

from mockmarket.core import tokens
from tests.contracts.world import ADMIN, OWNER, World, build

HERE = Path(__file__).parent
DOCUMENT = Path(django_settings.BASE_DIR) / "docs" / "api" / "openapi.json"
LIMITS = (
    "READS_PER_SECOND",
    "ORDERS_PER_SECOND",
    "ORDERS_PER_MINUTE",
    "LOGINS_PER_MINUTE",
    "LOGINS_PER_ADDRESS_PER_MINUTE",
    "API_TOKENS_PER_USER_MAX",
    "WEBHOOKS_PER_USER_MAX",
)


Send = Callable[[schemathesis.Case], None]


def operations_with_tests(
    send: Send, *, part: int, of: int, examples: int
) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every `of`-th operation from number `part`, by name; calling its test tries all its cases."""
    config = SchemathesisConfig.from_path(HERE / "schemathesis.toml")
    schema = schemathesis.openapi.from_dict(json.loads(DOCUMENT.read_text()), config=config)
    schema.app = get_wsgi_application()
    labels = sorted(found.ok().label for found in schema.get_all_operations())
    schema = schema.include(name=labels[part::of])

    def tried(case: schemathesis.Case) -> None:
        send(case)

    # Said here: a number in the configuration's default project does not reach the operations.
    limits = hypothesis.settings(max_examples=examples)
    for found in get_all_tests(schema=schema, test_func=tried, settings=limits, given_kwargs={}):
        operation, test = found.ok()
        yield operation.label, test


@pytest.fixture
def world(db: None, settings: Any) -> Iterator[World]:
    for name in LIMITS:
        setattr(settings, name, 10**6)
    if connection.vendor == "postgresql":
        # Making an operation's cases can take longer than production lets a transaction idle.
        with connection.cursor() as cursor:
            cursor.execute("SET idle_in_transaction_session_timeout = 0")
    made = build()
    # As Django's own test client does: the end of a request shall not end the test's connection.
    logging.disable(logging.CRITICAL)
    signals.request_started.disconnect(close_old_connections)
    signals.request_finished.disconnect(close_old_connections)
    yield made
    logging.disable(logging.NOTSET)
    signals.request_started.connect(close_old_connections)
    signals.request_finished.connect(close_old_connections)


def failures(world: World, *, part: int, of: int, examples: int, each: bool) -> dict[str, Any]:
    """What went wrong by operation. Cases go to the student and to staff in turn, not all of them;
    or all of them to `each`."""
    headers = []
    for role in (OWNER, ADMIN):
        user = world.users[role]
        assert user is not None, "the role signs in"
        headers.append({"Authorization": f"Bearer {tokens.issue_pair(user=user).access}"})
    tried: Counter[str] = Counter()
    # It sends two more requests for each, without and with a wrong credential: a few show it.
    known = [ignored_auth]

    def send(case: schemathesis.Case) -> None:
        count = tried[case.operation.label]
        tried[case.operation.label] += 1
        if not each and count >= 6 and mark(case) % 16:
            return  # a sixteenth of the further cases, always the same
        name_what_exists(case, world.values)
        for caller in headers if each else [headers[count % 2]]:
            savepoint = transaction.savepoint()  # what one request does is not seen by the next
            try:
                case.call_and_validate(headers=caller, excluded_checks=known if count > 5 else [])
            finally:
                transaction.savepoint_rollback(savepoint)
                # A rolled-back savepoint still stands: each next one would lie inside it and hold
                # a lock more, until PostgreSQL is out of shared memory.
                transaction.savepoint_commit(savepoint)

    wrong = {}
    for name, test in operations_with_tests(send, part=part, of=of, examples=examples):
        try:
            test()
        except (Exception, BaseExceptionGroup) as found:  # noqa: BLE001 (all are reported together)
            wrong[name] = sorted(set(messages(found)))
        assert tried[name], f"{name} was not tried"
    return wrong


@pytest.mark.timeout(900)  # minutes where much else runs
@pytest.mark.parametrize("part", [0, 1])
def test_no_fault_and_no_undocumented_answer(part: int, world: World) -> None:
    wrong = failures(world, part=part, of=2, examples=4, each=False)
    assert wrong == {}, "\n\n".join("\n".join([name, *found]) for name, found in wrong.items())


@pytest.mark.fault  # minutes: a hundred random cases each, all sent by the student and by staff
@pytest.mark.timeout(1800)
def test_no_fault_in_many_more_tries(world: World) -> None:
    wrong = failures(world, part=0, of=1, examples=100, each=True)
    assert wrong == {}, "\n\n".join("\n".join([name, *found]) for name, found in wrong.items())


def messages(error: BaseException) -> Iterator[str]:
    """What each single failure says, with the request that shows it."""
    if isinstance(error, FailureGroup):
        yield str(error)
    elif isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from messages(inner)
    else:
        yield repr(error)


def name_what_exists(case: schemathesis.Case, values: dict[str, str]) -> None:
    """Two in three addresses that fit the schema name something of this world."""
    component = case.meta.components.get("path") if case.meta else None
    chosen = mark(case) % 3
    if component is None or component.mode is not GenerationMode.POSITIVE or not chosen:
        return
    for name in case.path_parameters:
        case.path_parameters[name] = values.get(name, case.path_parameters[name])


def mark(case: schemathesis.Case) -> int:
    """A number of a case that is the same in each run."""
    return zlib.crc32(repr((case.query, case.headers, case.body)).encode())
