"""Failed executions are sorted by kind soon after they failed, so that the page of failures need not look at each.

An execution refers to its kind from when the roller has looked at it until somebody retries it. Whoever retries one
marks it in the transaction that makes the retry; whoever does either holds the execution's row, then the kinds' in one
order.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Subquery

from ferris.fingerprints import error_kind, fingerprint
from ferris_web.executions.failures import members, retries_of
from ferris_web.executions.models import Execution, FailureKind

AT_ONCE: Final = 300
"""A transaction is to be short: on SQLite nobody else writes meanwhile."""
_Key = tuple[UUID, str, str]


def failures_piece(most: int = AT_ONCE) -> int:
    """Sort some failed executions, the latest first; how many. 0: all are.

    One transaction; of two that do so at once each takes others.
    """
    skips = bool(connection.features.has_select_for_update_skip_locked)
    unsorted = Execution.objects.filter(status="failed", failure=None, retried=None).order_by("-created_at")
    if not unsorted.exists():
        return 0
    with transaction.atomic():
        rows = (
            unsorted.select_for_update(of=("self",), skip_locked=skips)
            .annotate(again=Exists(retries_of(OuterRef("pk"))))
            .values_list("pk", "again", "service_id", "service__project_id", "reason", "error", "created_at")
        )[:most]
        retried: list[UUID] = []
        found: dict[_Key, list[tuple[UUID, datetime]]] = {}
        fresh: dict[_Key, FailureKind] = {}
        for pk, again, service, project, reason, error, at in rows:
            if again:
                retried.append(pk)
                continue
            key = (service, reason, fingerprint(error))
            found.setdefault(key, []).append((pk, at))
            fresh.setdefault(
                key,
                FailureKind(
                    service_id=service,
                    project_id=project,
                    reason=reason,
                    kind=key[2],
                    error=error_kind(error),
                ),
            )
        Execution.objects.filter(pk__in=retried).update(retried=True)
        _enter(found, fresh)
    return len(retried) + sum(map(len, found.values()))


def failures_retried(ids: Iterable[UUID]) -> None:
    """These executions are retried, by executions that are written in this transaction. Those that have not ended yet
    are told later: who sorts them looks for retries, and until then their rows are held."""
    held = Execution.objects.filter(pk__in=set(ids)).select_for_update().order_by("pk")
    failed = [
        (pk, kind)
        for pk, status, kind in held.values_list("pk", "status", "failure_id")
        if status == "failed"
    ]
    if not failed:
        return
    kinds = {kind for _, kind in failed if kind is not None}
    touched = FailureKind.objects.filter(pk__in=kinds)
    list(touched.select_for_update().order_by("pk").values_list("pk"))
    Execution.objects.filter(pk__in=[pk for pk, _ in failed]).update(retried=True, failure=None)
    left = members().order_by("-created_at", "-id")
    touched.update(last_at=Subquery(left.values("created_at")[:1]))


def failure_kinds_prune(before: datetime) -> None:
    """Remove kinds of which the journal holds no execution any more."""
    old = FailureKind.objects.filter(~Exists(members())).exclude(last_at__gte=before)
    old._raw_delete(old.db)


def _enter(found: dict[_Key, list[tuple[UUID, datetime]]], fresh: dict[_Key, FailureKind]) -> None:
    if not found:
        return
    FailureKind.objects.bulk_create([fresh[key] for key in sorted(fresh)], ignore_conflicts=True)
    services = {service for service, _, _ in found}
    prints = {kind for _, _, kind in found}
    kinds = (
        FailureKind.objects.filter(service__in=services, kind__in=prints).select_for_update().order_by("pk")
    )
    changed, sorted_rows = [], []
    for row in kinds:
        members = found.get((row.service_id, row.reason, row.kind))
        if not members:
            continue
        sorted_rows += [Execution(pk=pk, failure=row) for pk, _ in members]
        row.last_at = max(at for _, at in [*members, ("", row.last_at or members[0][1])])
        changed.append(row)
    Execution.objects.bulk_update(sorted_rows, ["failure"], batch_size=100)
    FailureKind.objects.bulk_update(changed, ["last_at"], batch_size=100)
