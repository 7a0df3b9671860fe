"""The kinds of what fails on a seeded platform, found while it is made: to sort 50,000 failures afterwards, row by row
as the roller does, takes minutes."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from django.core.management.color import no_style
from django.db import connection
from django.db.models import Max, Subquery

from ferris.fingerprints import error_kind, fingerprint
from ferris_web.executions.failures import members
from ferris_web.executions.models import FailureKind
from ferris_web.executions.seeding.bulk import Table

_KIND: Final = ("id", "service_id", "project_id", "reason", "kind", "error", "last_at")


class Kinds:
    """Says of which kind a failure is. `flush` writes the new ones, which executions refer to."""

    def __init__(self) -> None:
        self._before: int = FailureKind.objects.aggregate(last=Max("pk"))["last"] or 0
        self._known: dict[tuple[UUID, str, str], int] = {}
        self._table = Table(FailureKind, _KIND)

    def of(self, service: UUID, project: int, reason: str, error: str, at: datetime) -> int:
        """The id of the kind."""
        key = service, reason, fingerprint(error)
        if key not in self._known:
            self._known[key] = self._before + len(self._known) + 1
            self._table.add(self._known[key], service, project, reason, key[2], error_kind(error), at)
        return self._known[key]

    def flush(self) -> None:
        """Write those that are new."""
        self._table.flush()

    def finish(self) -> None:
        """Say when the latest failure of each was."""
        latest = members().order_by("-created_at", "-id").values("created_at")[:1]
        FailureKind.objects.filter(pk__gt=self._before).update(last_at=Subquery(latest))
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), [FailureKind]):
                cursor.execute(statement)
