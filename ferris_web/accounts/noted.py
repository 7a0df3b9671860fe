"""What commands on the platform's own machine change, in the audit log."""

from __future__ import annotations

import getpass
import os
from typing import Any, Final

from django.utils import timezone

from ferris_web.accounts.models import AuditEntry

ACTOR: Final = "manage.py"


def command_noted(action: str, about: str, *, project: Any = None, **said: Any) -> None:
    """Add an entry about what a command has done. Who may run it has the machine; `said` has the account there.

    `about` names what it was done to, `project` is the row of the project that owners of read it with. `said` must be
    plain values, and nothing that may be secret; what is empty or False is left out.
    """
    AuditEntry.objects.create(
        at=timezone.now(),
        actor=ACTOR,
        action=action,
        object=about[:600],
        project_id=None if project is None else project.pk,
        project="" if project is None else project.name,
        said={"account": account(), **{name: value for name, value in said.items() if _told(value)}},
    )


def _told(value: Any) -> bool:
    return bool(value) or (isinstance(value, int) and not isinstance(value, bool))


def account() -> str:
    """The account of this machine that runs us, by its number where it has no name, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
