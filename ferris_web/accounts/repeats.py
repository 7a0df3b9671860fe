"""Requests that may be sent again without being carried out again: the header Idempotency-Key.

After draft-ietf-httpapi-idempotency-key-header: the same key with the same request gives the first answer, with
another request it is refused, and while the first is under way as well.

An answer may tell a secret once, a new token for example: it lies encrypted. Whoever drops the encryption key within
the day ends its repetitions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.fernet import InvalidToken
from django.db import IntegrityError, transaction

from ferris_web import wiring
from ferris_web.accounts.models import RepeatableRequest, User

KEPT = timedelta(hours=24)
"""How long an answer is kept for repetitions."""
LONGEST = timedelta(minutes=2)
"""A request that is not answered after this time died with its process: its key may be used again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that was given before."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class OtherRequest(Exception):
    """The key was used for a request that was not the same."""


class Unreadable(Exception):
    """The request was carried out, and no encryption key opens its answer any more."""


class UnderWay(Exception):
    """The first request with this key is not answered yet."""


def repeat_begin(user: User, key: str, fingerprint: str, now: datetime) -> Kept | None:
    """Take the key for this request, or give the answer it got before. OtherRequest, UnderWay, Unreadable.

    Of several requests at once one takes the key.
    """
    mine = RepeatableRequest.objects.filter(user=user, key=key)
    mine.filter(created_at__lt=now - KEPT).delete()
    mine.filter(status=None, created_at__lt=now - LONGEST).delete()
    try:
        with transaction.atomic():
            RepeatableRequest.objects.create(user=user, key=key, fingerprint=fingerprint, created_at=now)
    except IntegrityError:
        found = mine.first()
        if found is None:  # it has just been given back
            raise UnderWay from None
        if found.fingerprint != fingerprint:
            raise OtherRequest from None
        if found.status is None:
            raise UnderWay from None
        try:
            return Kept(found.status, found.headers, wiring.cipher().decrypt(bytes(found.body)))
        except InvalidToken:
            raise Unreadable from None
    return None


def repeat_end(user: User, key: str, answer: Kept) -> None:
    """Keep the answer for repetitions."""
    RepeatableRequest.objects.filter(user=user, key=key, status=None).update(
        status=answer.status, headers=dict(answer.headers), body=wiring.cipher().encrypt(answer.body)
    )


def repeat_give_back(user: User, key: str) -> None:
    """The request was not carried out: it may be sent again."""
    RepeatableRequest.objects.filter(user=user, key=key, status=None).delete()


def repeats_prune(now: datetime) -> int:
    """Forget answers that nobody will ask for any more; how many there were."""
    gone, _ = RepeatableRequest.objects.filter(created_at__lt=now - KEPT).delete()
    return gone
