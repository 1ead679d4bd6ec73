"""`Idempotency-Key`: a repeated POST gets the first answer, also after a restart.

The key is claimed by the unique constraint before the work and completed with the answer in the
transaction of the work, so that a process that dies leaves both or neither. A claim left behind
is taken over after CLAIM_SECONDS. Services that insist on a transaction of their own (orders) are
completed after it; what they had already done is found again by their own constraints, because
`derived_id` and `derived_uuid` give the repeat the same name.
"""

import functools
import hashlib
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.db import IntegrityError, transaction
from django.utils.crypto import salted_hmac
from rest_framework import exceptions
from rest_framework.request import Request
from rest_framework.response import Response

from mockmarket.core import clock
from mockmarket.core.api.content import Rendered, encode
from mockmarket.core.errors import DomainError
from mockmarket.core.models import IdempotencyRecord, User

HEADER = "Idempotency-Key"
KEPT = timedelta(hours=24)
CLAIM_SECONDS = 60
KEY_LENGTH_MAX = 255

# What says nothing about the request itself is not remembered: a repeat shall try again.
_FORGOTTEN = {401, 403, 409, 429}


class KeyReused(DomainError):
    """The key was used for another request."""

    code = "idempotency_key_reused"
    status = 422


class KeyInProgress(DomainError):
    """The first request with this key is still being answered."""

    code = "idempotency_in_progress"
    status = 409
    retry_after = 1.0


Handler = Callable[..., Response]


def idempotent(*, durable: bool = False, secret: bool = False) -> Callable[[Handler], Handler]:
    """Makes a POST handler of an ApiView honour Idempotency-Key.

    `durable`: the service opens an outermost transaction itself and finds its own repeats.
    `secret`: the answer holds a credential and is kept encrypted.
    """

    def decorate(handler: Handler) -> Handler:
        @functools.wraps(handler)
        def wrapped(view: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return handler(view, request, *args, **kwargs)
            _check(key)
            at = clock.now()
            record = _claim(user=view.caller, key=key, fingerprint=_fingerprint(request), at=at)
            if record.status is not None:
                return _replayed(record, secret=secret)
            try:
                with nullcontext() if durable else transaction.atomic():
                    response = handler(view, request, *args, **kwargs)
                    _complete(record=record, response=response, secret=secret)
            except Exception as error:  # noqa: BLE001 (every refusal is an answer to remember)
                response = view.handle_exception(error)
                _complete(record=record, response=response, secret=secret)
            return response

        wrapped.idempotent = True  # type: ignore[attr-defined]
        return wrapped

    return decorate


def derived_id(request: Request) -> str | None:
    """A stable identifier from the request's key, for the service's own unique constraint."""
    key = request.headers.get(HEADER)
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:40]}" if key else None


def derived_uuid(request: Request) -> uuid.UUID | None:
    """The same for rows named by a UUID; told apart by user, because it is a primary key."""
    key = request.headers.get(HEADER)
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{request.user.pk}/{key}") if key else None


def _replayed(record: IdempotencyRecord, *, secret: bool) -> Response:
    body = record.body
    if secret and body is not None:
        try:
            body = _cipher().decrypt(body.encode()).decode()
        except InvalidToken as error:
            raise KeyReused("The first answer can no longer be read.") from error
    replay = Response(None if body is None else Rendered(body), status=record.status)
    replay["Idempotency-Replayed"] = "true"
    return replay


def _cipher() -> Fernet:
    """From the server's own secret: a copy of the database alone shows no credential."""
    return Fernet(urlsafe_b64encode(salted_hmac("idempotency", "", algorithm="sha256").digest()))


def _check(key: str) -> None:
    if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isascii() or not key.isprintable():
        raise exceptions.ValidationError(
            {HEADER: [f"1 to {KEY_LENGTH_MAX} printable ASCII characters."]}
        )


def _fingerprint(request: Request) -> str:
    parts = (str(request.method).encode(), request.path.encode(), encode(request.data))
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def _claim(*, user: User, key: str, fingerprint: str, at: datetime) -> IdempotencyRecord:
    """This request's own new record, or the completed one of the first request."""
    IdempotencyRecord.objects.filter(user=user, key=key, created_at__lte=at - KEPT).delete()
    try:
        with transaction.atomic():
            return IdempotencyRecord.objects.create(
                user=user, key=key, request_hash=fingerprint, created_at=at
            )
    except IntegrityError:
        record = IdempotencyRecord.objects.filter(user=user, key=key).first()
    if record is None:
        raise KeyInProgress("The first request with this key has just ended. Try again.")
    if record.request_hash != fingerprint:
        raise KeyReused("This Idempotency-Key was used for another request.")
    if record.status is not None:
        return record
    stale = at - timedelta(seconds=CLAIM_SECONDS)
    taken_over = IdempotencyRecord.objects.filter(
        pk=record.pk, status__isnull=True, created_at__lte=stale
    ).update(created_at=at)
    if not taken_over:
        raise KeyInProgress("The first request with this key is still being answered.")
    record.created_at = at
    return record


def _complete(*, record: IdempotencyRecord, response: Response, secret: bool) -> None:
    """Keeps the answer, or forgets the claim when a repeat should try again."""
    claim = IdempotencyRecord.objects.filter(
        pk=record.pk, status__isnull=True, created_at=record.created_at
    )
    if response.status_code >= 500 or response.status_code in _FORGOTTEN:
        claim.delete()
        return
    body = None if response.data is None else encode(response.data).decode()
    if secret and body is not None:
        body = _cipher().encrypt(body.encode()).decode()
    claim.update(status=response.status_code, body=body)


def prune(*, at: datetime) -> int:
    """Deletes records older than 24 hours. Returns how many."""
    deleted, _ = IdempotencyRecord.objects.filter(created_at__lte=at - KEPT).delete()
    return deleted
