"""Makes and checks API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from ferris_web.accounts.models import ApiToken, User

# A token's last use is written at most this often: one write per request would cost more than the request.
_LAST_USED_STEP = timedelta(minutes=1)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def token_create(user: User, name: str = "token", expires_at: datetime | None = None) -> str:
    """A new token for `user`. Returned once and never stored in the clear."""
    token = "ferris_" + secrets.token_urlsafe(32)
    ApiToken.objects.create(
        user=user, name=name, digest=_digest(token), prefix=token[:12], expires_at=expires_at
    )
    return token


def token_user(token: str, now: datetime) -> User | None:
    """The active user a token speaks for, or None when it is unknown, expired or its user is disabled."""
    found = ApiToken.objects.select_related("user").filter(digest=_digest(token)).first()
    if found is None or not found.user.is_active or (found.expires_at and found.expires_at <= now):
        return None
    if found.last_used_at is None or now - found.last_used_at > _LAST_USED_STEP:
        ApiToken.objects.filter(pk=found.pk).update(last_used_at=now)
    return found.user
