"""Sign-ins in the audit log that no form of ours tells of: by a provider, and those refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.http import HttpRequest

from ferris_web.accounts.models import AuditEntry


def sign_in_noted(
    request: HttpRequest, actor: str, action: str, *, status: int, now: datetime, **said: Any
) -> None:
    """Add an entry about somebody who signs in, or something their sign-in changed. `said` must be plain values."""
    AuditEntry.objects.create(
        at=now,
        actor=actor.replace("\0", "")[:150],
        address=(request.META.get("REMOTE_ADDR") or "")[:60],
        action=action,
        method=request.method or "",
        status=status,
        object=request.path[:600],
        said={name: value for name, value in said.items() if value not in ("", None, [])},
    )
